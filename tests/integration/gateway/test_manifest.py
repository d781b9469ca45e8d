"""What made the answers of a batch, as a client can cite it."""

import hashlib

import msgspec
import openai
import pytest

from tests.integration.gateway.endings import created_of, ends, jsonl, outcome, runs
from tests.integration.gateway.stage import Stage
from tests.support.events import FLOAT32, MODEL, MODEL_LOADED, NOON, ORIGIN, RUNNER
from vbatch.contracts import events as e

pytestmark = pytest.mark.integration


async def test_a_manifest_names_engine_model_settings_device_and_files(stage: Stage):
    epoch = await stage.tell(e.RunnerLeased(runner_id=RUNNER, device="cpu", memory_bytes=24 << 30, pid=1, at=NOON))
    loading = e.ModelLoading(runner_id=RUNNER, epoch=epoch, model=MODEL, profile=(FLOAT32,), at=NOON)
    await stage.tell(loading, msgspec.structs.replace(MODEL_LOADED, epoch=epoch, origin=ORIGIN))
    batch = await created_of(stage, "a", "b")
    await runs(stage, batch.id, 2, [outcome(1, "a", "x"), outcome(2, "b", None)], epoch=epoch)
    so_far = (await stage.ask("GET", f"/v1/batches/{batch.id}/manifest")).json
    assert (so_far["is_final"], so_far["ended_at"], so_far["output_file"]) == (False, None, None)

    ended = await ends(stage, batch.id)
    manifest = (await stage.ask("GET", f"/v1/batches/{batch.id}/manifest")).json
    assert manifest["is_final"] and manifest["ended_at"] == ended.completed_at
    assert manifest["engines"] == [
        {
            "model": MODEL,
            "engine": "vllm 0.19.1",
            "source": "org/small-model",
            "revision": ORIGIN.revision,
            "weights_sha256": ORIGIN.weights_sha256,
            "template_sha256": ORIGIN.template_sha256,
            "sampling_defaults": '{"temperature":0.6}',
            "device": "cpu",
            "memory_bytes": 24 << 30,
            "runner_id": RUNNER,
            "settings": {"dtype": "float32"},
        }
    ]
    assert manifest["input_file"]["sha256"] == hashlib.sha256(jsonl("a", "b")).hexdigest()
    for kind in ("output", "error"):
        content = (await stage.client.files.content(manifest[f"{kind}_file"]["id"])).content
        assert manifest[f"{kind}_file"]["sha256"] == hashlib.sha256(content).hexdigest()


async def test_a_batch_that_no_engine_has_answered_has_a_manifest_without_engines(stage: Stage):
    batch = await created_of(stage, "a")
    manifest = (await stage.ask("GET", f"/v1/batches/{batch.id}/manifest")).json
    assert (manifest["engines"], manifest["object"]) == ([], "batch.manifest")


async def test_a_manifest_still_has_the_digest_of_an_input_file_that_was_deleted(stage: Stage):
    batch = await created_of(stage, "a")
    await stage.client.files.delete(batch.input_file_id)
    manifest = (await stage.ask("GET", f"/v1/batches/{batch.id}/manifest")).json
    assert manifest["input_file"]["sha256"] == hashlib.sha256(jsonl("a")).hexdigest()


async def test_nobody_finds_the_manifest_of_a_batch_that_is_not_there(stage: Stage):
    with pytest.raises(openai.NotFoundError):
        await stage.client.get(f"/batches/batch_{'0' * 32}/manifest", cast_to=object)
