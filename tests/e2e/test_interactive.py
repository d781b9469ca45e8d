"""The interactive lane through the whole stack: the official client asks, and answers come at once."""

from __future__ import annotations

import asyncio
import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import openai
import psutil
import pytest
from openai import AsyncOpenAI, OpenAI
from openai.types import Batch
from pydantic import BaseModel

from tests.e2e.asking import Line, assert_each_line_once_in_order, chat_line, ended, jsonl, submit
from tests.support.stack import RunningStack, kill, running_stack, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

CHAT, OTHER, SLOW, EMBEDDING = "simulated-chat", "simulated-other", "simulated-slow", "simulated-embedding"
MODELS = """\
[[model]]
id = "simulated-chat"
engine = "simulated"
endpoints = ["/v1/chat/completions", "/v1/completions", "/v1/responses"]
max_num_seqs = 64

[[model]]
id = "simulated-other"
engine = "simulated"
endpoints = ["/v1/chat/completions"]
max_num_seqs = 64

[[model]]
id = "simulated-slow"
engine = "simulated"
endpoints = ["/v1/chat/completions"]
max_num_seqs = 8
arguments = { token-seconds = 0.05, answer-tokens = 200 }

[[model]]
id = "simulated-embedding"
engine = "simulated"
endpoints = ["/v1/embeddings", "/v1/score", "/v1/rerank"]
max_num_seqs = 64
"""
ENVIRONMENT = {
    "VBATCH_SCHEDULER_INTERACTIVE_STAY_SECONDS": "1",
    "VBATCH_SCHEDULER_INTERACTIVE_SWAP_SECONDS_MIN": "600",
    "VBATCH_GATEWAY_INTERACTIVE_WAIT_SECONDS": "20",
}
LONG = "word " * 150
ERROR_SECONDS_MAX = 10.0


@pytest.fixture(scope="module")
def lane_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    models: Path = tmp_path_factory.mktemp("interactive") / "models.toml"
    models.write_text(MODELS)
    with running_stack(models, ENVIRONMENT) as running:
        yield running


@pytest.fixture
def stack(lane_stack: RunningStack) -> RunningStack:
    lane_stack.wait_until_ready()
    return lane_stack


@pytest.fixture
def client(stack: RunningStack) -> Iterator[OpenAI]:
    """The official client, strict about every answer; it tries nothing twice."""
    with OpenAI(
        base_url=f"{stack.url}/v1", api_key="none", max_retries=0, _strict_response_validation=True, timeout=60
    ) as made:
        yield made


def asked(client: OpenAI, model: str = CHAT, text: str = "hello there") -> str:
    answer = client.chat.completions.create(model=model, messages=[{"role": "user", "content": text}])
    return answer.choices[0].message.content or ""


def kill_and_wait(process: psutil.Process) -> None:
    """Return once nobody takes it for alive any more: a request that reaches a dying process is lost with it."""
    kill(process)
    process.wait(ERROR_SECONDS_MAX)


def test_a_chat_is_answered_at_once_and_its_model_loaded_for_it(client: OpenAI, stack: RunningStack):
    assert asked(client) == "[simulated] hello there"
    log = stack.vbatch("events").stdout
    assert f"is to load {CHAT}: clients have waited" in log
    assert "hello there" not in log


def test_every_endpoint_answers_in_the_form_of_its_api(client: OpenAI):
    completion = client.completions.create(model=CHAT, prompt="one two")
    assert completion.choices[0].text == "[simulated] one two"
    assert client.responses.create(model=CHAT, input="one two").output_text == "[simulated] one two"
    assert len(client.embeddings.create(model=EMBEDDING, input=["a", "b"], encoding_format="float").data) == 2
    ranked = client.post("/rerank", cast_to=object, body={"model": EMBEDDING, "query": "a", "documents": ["x", "y"]})
    assert isinstance(ranked, dict) and len(ranked["results"]) == 2


def test_streams_come_word_by_word_as_openai_frames_them(client: OpenAI):
    chunks = list(
        client.chat.completions.create(
            model=CHAT,
            messages=[{"role": "user", "content": "one two"}],
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    words = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices]
    assert words == ["", "[simulated]", " one", " two", None]
    assert chunks[-1].usage is not None and chunks[-1].usage.completion_tokens == 3
    with OpenAI(base_url=client.base_url, api_key="none") as lenient:  # the strict type has no null in finish_reason
        pieces = lenient.completions.create(model=CHAT, prompt="one two", stream=True)
        assert "".join(piece.choices[0].text for piece in pieces) == "[simulated] one two"
    with client.responses.stream(model=CHAT, input="one two") as stream:
        kinds = [event.type for event in stream]
        assert stream.get_final_response().output_text == "[simulated] one two"
    assert kinds[0] == "response.created" and kinds[-1] == "response.completed"


def test_the_asynchronous_client_streams_too(stack: RunningStack):
    async def words() -> list[str]:
        async with AsyncOpenAI(base_url=f"{stack.url}/v1", api_key="none", max_retries=0) as client:
            stream = await client.chat.completions.create(
                model=CHAT, messages=[{"role": "user", "content": "one two"}], stream=True
            )
            return [chunk.choices[0].delta.content or "" async for chunk in stream]

    assert "".join(asyncio.run(words())) == "[simulated] one two"


class City(BaseModel):
    name: str
    people: int


def test_functions_are_called_and_schemas_are_kept(client: OpenAI):
    parameters: dict[str, object] = {"type": "object", "properties": {"city": {"type": "string"}}}
    called = client.chat.completions.create(
        model=CHAT,
        messages=[{"role": "user", "content": "Where?"}],
        tools=[{"type": "function", "function": {"name": "look_up", "parameters": parameters}}],
        tool_choice="required",
    )
    calls = called.choices[0].message.tool_calls or []
    assert calls[0].type == "function"
    assert (calls[0].function.name, json.loads(calls[0].function.arguments)) == ("look_up", {"city": "[simulated]"})
    parsed = client.chat.completions.parse(
        model=CHAT, messages=[{"role": "user", "content": "Which city?"}], response_format=City
    )
    assert parsed.choices[0].message.parsed == City(name="[simulated]", people=0)


def test_errors_are_openais_own(client: OpenAI):
    with pytest.raises(openai.NotFoundError) as absent:
        asked(client, "absent")
    assert (absent.value.code, absent.value.param) == ("model_not_found", "model")
    assert absent.value.response.headers["x-request-id"].startswith("req_")
    with pytest.raises(openai.BadRequestError) as unserved:
        client.embeddings.create(model=CHAT, input="a")
    assert unserved.value.code == "unsupported_endpoint"


def test_two_models_take_turns_for_clients_on_an_idle_device(client: OpenAI):
    for model in (CHAT, OTHER, CHAT, OTHER):
        assert asked(client, model).startswith("[simulated]")


def test_clients_are_answered_beside_a_batch_of_their_model(client: OpenAI):
    given = [chat_line(number, SLOW) for number in range(60)]
    batch = submit(client, jsonl(given))
    asked(client, SLOW)
    began = time.monotonic()
    asked(client, SLOW)
    assert time.monotonic() - began < 5.0
    found = ended(client, batch.id)
    assert_each_line_once_in_order(given, found)


def test_swaps_for_clients_are_bounded_while_batches_wait(client: OpenAI):
    asked(client, CHAT)
    with running_batch(client, [chat_line(number, SLOW) for number in range(200)]):
        with pytest.raises(openai.InternalServerError) as refused:
            for _ in range(3):
                asked(client, OTHER)
                asked(client, CHAT)
    assert (refused.value.status_code, refused.value.code) == (503, "model_not_loaded")
    assert int(refused.value.response.headers["retry-after"]) > 10
    assert "loaded now" in refused.value.message.lower()


@contextmanager
def running_batch(client: OpenAI, given: list[Line]) -> Iterator[Batch]:
    """A batch that is cancelled at the end, and ended."""
    batch = submit(client, jsonl(given))
    try:
        wait_until(lambda: client.batches.retrieve(batch.id).status == "in_progress", "the batch runs", 20)
        yield batch
    finally:
        client.batches.cancel(batch.id)
        ended(client, batch.id)


def test_a_client_that_leaves_takes_its_request_back(client: OpenAI, stack: RunningStack):
    stream = long_stream(client)
    next(iter(stream))
    wait_until(lambda: running(stack) == 1, "the engine answers this request alone", 5)
    stream.close()
    wait_until(lambda: running(stack) == 0, "the engine has dropped the request", 5)


def test_an_engine_that_dies_in_mid_stream_ends_the_stream_with_an_error(client: OpenAI, stack: RunningStack):
    stream = long_stream(client)
    iterator = iter(stream)
    next(iterator)
    kill_and_wait(stack.engine())
    with pytest.raises(openai.APIError, match="The engine stopped while it answered this request"):
        list(iterator)
    assert asked(client, SLOW).startswith("[simulated]")


@pytest.mark.parametrize("service", ["gpu-runner", "gateway"])
def test_a_process_that_dies_in_mid_stream_is_an_error_at_once_and_batches_lose_nothing(
    client: OpenAI, stack: RunningStack, service: str
):
    given = [chat_line(number, SLOW) for number in range(30)]
    batch = submit(client, jsonl(given))
    iterator = iter(long_stream(client))
    next(iterator)
    began = time.monotonic()
    kill(stack.process(service))
    with pytest.raises((openai.APIError, openai.APIConnectionError, Exception)):
        list(iterator)
    assert time.monotonic() - began < ERROR_SECONDS_MAX
    stack.wait_until_ready()
    with stack.client() as patient:
        found = ended(patient, batch.id)
    assert_each_line_once_in_order(given, found)


def test_the_runners_lane_asks_for_the_token(stack: RunningStack):
    url = f"http://127.0.0.1:{stack.settings.gpu_runner_port}/lane"
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(url, timeout=5)
    assert refused.value.code == 401
    refused.value.close()
    token = (stack.home / "secrets" / "lane-token").read_text()
    asked_for = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(asked_for, timeout=5) as answer:
        assert json.loads(answer.read())["runner_id"] == "gpu0"


def test_a_stream_that_waits_for_its_model_is_kept_open(client: OpenAI, stack: RunningStack):
    """Its runner is away for a while, and so is every model."""
    asked(client, CHAT)
    kill_and_wait(stack.process("gpu-runner"))
    answers: list[str] = []
    thread = threading.Thread(target=lambda: answers.append(asked(client, CHAT)))
    thread.start()
    thread.join(30)
    assert answers == ["[simulated] hello there"]


def test_a_dry_run_answers_three_lines_and_estimates_the_rest_without_a_batch(
    client: OpenAI, stack: RunningStack, tmp_path: Path
):
    given = [chat_line(number, CHAT) for number in range(40)]
    given[20]["body"]["messages"][0]["content"] = LONG
    before = len(client.batches.list().data)
    path = tmp_path / "in.jsonl"
    path.write_bytes(jsonl(given))
    told = stack.vbatch("try", str(path), "--input-price", "1", "--json")
    assert told.returncode == 0, told.stderr
    found = json.loads(told.stdout)
    assert [answer["line"] for answer in found["answers"]] == [1, 16, 21]
    assert all(answer["status_code"] == 200 for answer in found["answers"])
    assert found["answers"][2]["body"]["choices"][0]["message"]["content"].startswith("[simulated] word")
    estimate = found["estimate"]
    truth = sum(len(line["body"]["messages"][0]["content"].split()) for line in given)
    assert estimate["input_tokens"]["low"] <= truth <= estimate["input_tokens"]["high"]
    assert estimate["input_tokens_counted_lines"] == 32
    assert estimate["ends_at_earliest"] <= estimate["ends_at"] <= estimate["ends_at_latest"]
    assert estimate["money"]["input"] == pytest.approx(estimate["input_tokens"]["value"] / 1e6, abs=1e-6)
    assert "watt_hours" in estimate
    assert len(client.batches.list().data) == before
    shown = stack.vbatch("try", str(path)).stdout
    assert "All 40 requests on simulated-chat would cost about:" in shown and "Nothing was created." in shown


def test_a_dry_run_of_an_unfit_file_names_its_faults(client: OpenAI, stack: RunningStack, tmp_path: Path):
    path = tmp_path / "in.jsonl"
    path.write_bytes(jsonl([chat_line(1, "absent")]))
    told = stack.vbatch("try", str(path))
    assert told.returncode == 1
    assert "line 1: The provided model 'absent' is not supported" in told.stdout


def long_stream(client: OpenAI) -> openai.Stream[openai.types.chat.ChatCompletionChunk]:
    """It takes 7.5 s, once its model is loaded."""
    return client.chat.completions.create(model=SLOW, messages=[{"role": "user", "content": LONG}], stream=True)


def running(stack: RunningStack) -> int:
    url = f"http://127.0.0.1:{stack.settings.gpu_runner_port}/metrics/engine"
    with urllib.request.urlopen(url, timeout=5) as answer:
        lines = answer.read().decode().splitlines()
    return int(next(line.split()[-1] for line in lines if line.startswith("vllm:num_requests_running")))
