"""A body makes no engine fetch from a host that its model does not name, and brings no chat template of its own."""

from __future__ import annotations

import json
from typing import Any

import pytest

from vbatch.contracts.events import BatchFault
from vbatch.contracts.failures import FileFault
from vbatch.contracts.ids import ModelId
from vbatch.contracts.models import Trust
from vbatch.scheduler.core.planning.plan import Plan
from vbatch.scheduler.core.planning.validation import FileCheck, FileRules

CHAT = "/v1/chat/completions"
MODEL = ModelId("m")
DATA = "data:image/png;base64,iVBORw0KGgo="
HOST = Trust(media_hosts=frozenset({"pictures.example"}))


def result(body: dict[str, Any], trust: Trust | None = None, *, endpoint: str = CHAT, was_fit: bool = False) -> Any:
    rules = FileRules(
        endpoint, {MODEL: (endpoint,)}, was_found_fit=was_fit, trust={} if trust is None else {MODEL: trust}
    )
    check = FileCheck(rules)
    line = {"custom_id": "a", "method": "POST", "url": endpoint, "body": {"model": MODEL, **body}}
    check.feed(json.dumps(line).encode())
    return check.result(lambda refs: [])


def part(kind: str, url: object) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": [{"type": "text", "text": "look"}, {"type": kind, kind: url}]}]}


def fault(found: Any) -> BatchFault:
    assert not isinstance(found, Plan), "the line was let through"
    [only] = found
    assert isinstance(only, BatchFault)
    assert only.code == FileFault.INVALID_REQUEST
    return only


@pytest.mark.parametrize("kind", ["image_url", "audio_url", "video_url"])
@pytest.mark.parametrize("url", ["http://127.0.0.1:9/x", "https://169.254.169.254/latest", "file:///etc/passwd", "x"])
def test_media_of_no_named_host_are_a_fault_of_the_line(kind: str, url: str):
    for value in ({"url": url}, url):
        found = fault(result(part(kind, value)))
        assert found.param == "body.messages"
        assert found.message.startswith(
            f"'{url}' is not fetched: for this model no host may be asked. Send it as a data:"
        )


def test_data_urls_and_named_hosts_pass():
    assert isinstance(result(part("image_url", {"url": DATA})), Plan)
    assert isinstance(result(part("image_url", {"url": "https://Pictures.example:8443/a.png?b#c"}), HOST), Plan)


@pytest.mark.parametrize(
    "url",
    [
        "http://pictures.example@127.0.0.1/",
        "http://127.0.0.1\\@pictures.example/",
        "http://pictures.example.evil.org/",
        "http://evil.org/?pictures.example",
        " http://pictures.example/",
        "http://pictures.example/\n",
        "ftp://pictures.example/",
        "file://pictures.example/etc/passwd",
        "//pictures.example/",
    ],
)
def test_a_url_that_only_looks_like_a_named_host_is_refused(url: str):
    assert (
        "for this model pictures.example may be asked" in fault(result(part("image_url", {"url": url}), HOST)).message
    )


def test_a_key_written_with_escapes_is_still_seen():
    raw = json.dumps(
        {"custom_id": "a", "method": "POST", "url": CHAT, "body": {"model": MODEL, **part("K", "http://x/")}}
    )
    for escaped in (r"image\u005furl", r"\u0069mage_url", r"image_ur\u006C"):
        check = FileCheck(FileRules(CHAT, {MODEL: (CHAT,)}))
        check.feed(raw.replace('"K": "http', f'"{escaped}": "http').encode())
        assert fault(check.result(lambda refs: [])).param == "body.messages"


@pytest.mark.parametrize(
    ("endpoint", "body", "param"),
    [
        ("/v1/responses", {"input": [{"content": [{"type": "input_image", "image_url": "http://x/"}]}]}, "body.input"),
        ("/v1/responses", {"input": [{"content": [{"type": "input_file", "file_url": "http://x/"}]}]}, "body.input"),
        ("/v1/embeddings", {"input": "x", **part("image_url", {"url": "http://x/"})}, "body.messages"),
        (
            "/v1/rerank",
            {"query": "q", "documents": {"content": [{"type": "image_url", "image_url": {"url": "http://x/"}}]}},
            "body.documents",
        ),
    ],
)
def test_every_endpoint_is_looked_at(endpoint: str, body: dict[str, Any], param: str):
    assert fault(result(body, endpoint=endpoint)).param == param


def test_the_same_names_in_schemas_metadata_and_text_mean_nothing():
    schema = {"type": "object", "properties": {"image_url": {"type": "string"}}}
    body = {
        "messages": [{"role": "user", "content": 'say "image_url": "http://x/"'}],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": schema}}],
        "metadata": {"image_url": "http://x/"},
    }
    assert isinstance(result(body), Plan)


@pytest.mark.parametrize("more", [{"chat_template": "{{ 1 }}"}, {"chat_template_kwargs": {"chat_template": "{{ 1 }}"}}])
def test_a_chat_template_of_a_request_is_refused_unless_its_model_trusts_it(more: dict[str, Any]):
    body = {"messages": [{"role": "user", "content": "x"}], **more}
    assert fault(result(body)).param == "body.chat_template"
    assert isinstance(result(body, Trust(has_chat_templates=True)), Plan)


@pytest.mark.parametrize(
    "more", [{"chat_template": None}, {"chat_template_kwargs": {"enable_thinking": False}}, {"chat_template_kwargs": 7}]
)
def test_arguments_of_the_models_own_template_are_none(more: dict[str, Any]):
    assert isinstance(result({"messages": [{"role": "user", "content": "x"}], **more}), Plan)


def test_a_batch_that_was_found_fit_before_keeps_its_plan():
    assert isinstance(result(part("image_url", {"url": "http://x/"}), was_fit=True), Plan)
