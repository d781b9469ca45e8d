"""What an input file gets: a plan, or every fault it has, in order, in OpenAI's words."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given, strategies as st

from vbatch.contracts.events import BatchFault
from vbatch.contracts.failures import FileFault
from vbatch.contracts.ids import ModelId
from vbatch.contracts.limits import FAULTS_BYTES_MAX
from vbatch.contracts.lines import parse_request_line
from vbatch.scheduler.core.planning.custom_ids import CustomIds
from vbatch.scheduler.core.planning.plan import Plan
from vbatch.scheduler.core.planning.request_line import UNPARSEABLE
from vbatch.scheduler.core.planning.validation import FAULTS_MAX, REREAD_LINES_MAX, FileCheck, FileRules

CHAT = "/v1/chat/completions"
SMALL = ModelId("small")
RULES = FileRules(CHAT, {SMALL: (CHAT,), ModelId("other"): (CHAT,), ModelId("vectors"): ("/v1/embeddings",)})


def request(custom_id: object = "a", **changes: object) -> dict[str, object]:
    line: dict[str, object] = {"custom_id": custom_id, "method": "POST", "url": CHAT}
    line["body"] = {"model": "small", "messages": [{"role": "user", "content": "hi"}]}
    return {**line, **changes}


def without(name: str) -> dict[str, object]:
    return {key: value for key, value in request().items() if key != name}


def body(**changes: object) -> dict[str, object]:
    return request(body={"model": "small", "messages": [], **changes})


def check(content: bytes, rules: FileRules = RULES, block_bytes: int = 1 << 20) -> Plan | tuple[BatchFault, ...]:
    file_check = FileCheck(rules)
    for start in range(0, len(content), block_bytes):
        file_check.feed(content[start : start + block_bytes])
    return file_check.result(lambda refs: [content[ref.offset : ref.offset + ref.length] for ref in refs])


def lines(*documents: dict[str, object]) -> bytes:
    return b"".join(json.dumps(document).encode() + b"\n" for document in documents)


def verdict_faults(content: bytes) -> tuple[BatchFault, ...]:
    result = check(content)
    assert not isinstance(result, Plan)
    return result


def faults(content: bytes, rules: FileRules = RULES) -> list[tuple[FileFault, int | None, str | None]]:
    result = check(content, rules)
    assert not isinstance(result, Plan)
    return [(fault.code, fault.line, fault.param) for fault in result]


@pytest.mark.parametrize("custom_id", ["z" * 1025, "z" * 2_200_000, "ä" * 513, "\u0001" * 1025])
def test_a_custom_id_over_its_bound_is_a_fault_of_its_line(custom_id: str):
    fault, other = verdict_faults(lines(request(custom_id), request("b"), without("method")))
    assert (fault.code, fault.line, fault.param) == (FileFault.INVALID_REQUEST, 1, "custom_id")
    assert "1024 bytes" in fault.message and len(fault.message) < 200
    assert other.line == 3


@pytest.mark.parametrize("custom_id", ["z" * 1024, "ä" * 512])
def test_a_custom_id_at_its_bound_is_taken(custom_id: str):
    assert isinstance(check(lines(request(custom_id))), Plan)


@pytest.mark.parametrize("name", ["method", "url"])
def test_a_fault_quotes_no_more_than_a_beginning(name: str):
    [fault] = verdict_faults(lines(request(**{name: "M" * 3_000_000})))
    assert fault.param == name and len(fault.message) < 500


@pytest.mark.parametrize("model", ["m" * 3_000_000, "\u20ac" * 1_000_000])
def test_a_model_that_is_not_there_is_quoted_by_its_beginning(model: str):
    [fault] = verdict_faults(lines(body(model=model)))
    assert fault.code is FileFault.MODEL_NOT_FOUND
    assert "[cut, " in fault.message and len(fault.message.encode()) < 500


def test_faults_are_bounded_by_their_bytes_and_the_rest_is_counted():
    """Each quotes control characters, which JSON writes as six bytes: the largest a fault can be."""
    count = 4_000
    content = lines(*[request(str(number), method="\u0001" * 1_000) for number in range(count)])
    told = verdict_faults(content)
    assert len(msgspec.json.encode(told)) <= FAULTS_BYTES_MAX
    assert [fault.line for fault in told[:-1]] == list(range(1, len(told)))
    assert told[-1].message == f"{count - len(told) + 1} more lines are at fault."


def test_a_fit_file_becomes_a_plan_that_says_where_each_line_stands():
    content = lines(request("a"), request("b"))
    plan = check(content)
    assert isinstance(plan, Plan)
    assert (plan.model, list(plan.lines), len(plan)) == (SMALL, [1, 2], 2)
    second = plan.refs([2])[0]
    assert json.loads(content[second.offset : second.offset + second.length])["custom_id"] == "b"


@pytest.mark.parametrize(
    ("document", "code", "param"),
    [
        (without("custom_id"), FileFault.MISSING_REQUIRED_PARAMETER, "custom_id"),
        (request(custom_id=""), FileFault.MISSING_REQUIRED_PARAMETER, "custom_id"),
        (without("method"), FileFault.MISSING_REQUIRED_PARAMETER, "method"),
        (without("url"), FileFault.MISSING_REQUIRED_PARAMETER, "url"),
        (without("body"), FileFault.MISSING_REQUIRED_PARAMETER, "body"),
        (request(body=None), FileFault.MISSING_REQUIRED_PARAMETER, "body"),
        (request(custom_id=7), FileFault.INVALID_REQUEST, "custom_id"),
        (request(body="text"), FileFault.INVALID_REQUEST, "body"),
        (request(method="GET"), FileFault.INVALID_METHOD, "method"),
        (request(url="/v1/embeddings"), FileFault.INVALID_URL, "url"),
        (request(body={"messages": []}), FileFault.INVALID_REQUEST, "body.model"),
        (body(model=4), FileFault.INVALID_REQUEST, "body.model"),
        (request(body={"model": "small"}), FileFault.INVALID_REQUEST, "body.messages"),
        (body(stream=True), FileFault.STREAMING_UNSUPPORTED, "body.stream"),
        (body(stream="yes"), FileFault.INVALID_REQUEST, "body.stream"),
        (body(model="nobody"), FileFault.MODEL_NOT_FOUND, "body.model"),
        (body(model="vectors"), FileFault.INVALID_REQUEST, "body.model"),
    ],
)
def test_a_bad_line_is_named_with_code_line_and_param(document: dict[str, object], code: FileFault, param: str):
    assert faults(lines(request("first"), document)) == [(code, 2, param)]


@pytest.mark.parametrize("raw", [b"{", b"nonsense", b"[1]", b"17", b'"text"', b'{"a": NaN}', b"\xff\xfe"])
def test_a_line_that_is_no_json_object_is_not_parseable(raw: bytes):
    assert faults(raw + b"\n") == [(FileFault.INVALID_JSON_LINE, 1, None)]


def raw_line(messages: bytes, custom_id: bytes = b'"a"') -> bytes:
    text = b'{"custom_id":%b,"method":"POST","url":"/v1/chat/completions","body":{"model":"small","messages":%b}}\n'
    return text % (custom_id, messages)


@pytest.mark.parametrize(
    "messages",
    [
        pytest.param(b"[NaN]", id="NaN"),
        pytest.param(b"[-Infinity]", id="Infinity"),
        pytest.param(b'["\xff"]', id="no UTF-8"),
        pytest.param(b'["\xc0\x80"]', id="overlong UTF-8"),
        pytest.param(b'["\xed\xa0\x80"]', id="a surrogate in UTF-8"),
        pytest.param(b'["\x00"]', id="a bare NUL"),
        pytest.param(b'["\t"]', id="a bare tab"),
        pytest.param(b'["\\x41"]', id="an escape JSON does not have"),
        pytest.param(b"[01]", id="a leading zero"),
        pytest.param(b"[1,]", id="a trailing comma"),
        pytest.param(b"[" * 5_000 + b"]" * 5_000, id="too deep"),
        pytest.param(b"[" * 100_000, id="deep and open"),
    ],
)
def test_a_body_that_is_no_json_text_is_not_parseable_wherever_the_fault_stands(messages: bytes):
    assert faults(raw_line(messages)) == [(FileFault.INVALID_JSON_LINE, 1, None)]
    assert faults(raw_line(messages, custom_id=b"7")) == [(FileFault.INVALID_JSON_LINE, 1, None)]


@pytest.mark.parametrize(
    "messages",
    [
        pytest.param(b"[" + b"9" * 10_000 + b"]", id="a huge integer"),
        pytest.param(b"[1e999]", id="a number beyond floats"),
        pytest.param(b"[" * 500 + b"]" * 500, id="deep but readable"),
        pytest.param(b'["\\ud83d\\ude00"]', id="a pair of surrogates"),
        pytest.param('["\u2028\u2029\u0085"]'.encode(), id="line separators of Unicode"),
        pytest.param(b'["\\u0000"]', id="an escaped NUL"),
    ],
)
def test_what_json_allows_passes_and_reaches_the_engine_as_it_is(messages: bytes):
    content = raw_line(messages)
    plan = check(content)
    assert isinstance(plan, Plan)
    ref = plan.refs([1])[0]
    line = parse_request_line(content[ref.offset : ref.offset + ref.length])
    assert bytes(line.body) == b'{"model":"small","messages":%b}' % messages


@pytest.mark.parametrize(
    ("written", "read"),
    [
        pytest.param(rb'["\ud800"]', rb'["\ufffd"]', id="a lone leading surrogate"),
        pytest.param(rb'["\ud83d and more text"]', rb'["\ufffd and more text"]', id="before text"),
        pytest.param(rb'["\uDC00"]', rb'["\ufffd"]', id="a lone trailing surrogate"),
        pytest.param(rb'["\ud83d\ud83d\ude00"]', rb'["\ufffd\ud83d\ude00"]', id="before a pair"),
        pytest.param(rb'["\ude00\ud83d"]', rb'["\ufffd\ufffd"]', id="the halves exchanged"),
        pytest.param(rb'[{"\ud83d": 1}]', rb'[{"\ufffd": 1}]', id="in a key"),
    ],
)
def test_an_emoji_cut_in_two_is_no_fault_and_reaches_the_engine_as_a_replacement_character(written: bytes, read: bytes):
    content = raw_line(written)
    plan = check(content + raw_line(b"[]", custom_id=b'"b"'))
    assert isinstance(plan, Plan)
    [ref] = plan.refs([1])
    line = parse_request_line(content[ref.offset : ref.offset + ref.length])
    assert bytes(line.body) == b'{"model":"small","messages":%b}' % read


def test_beside_a_cut_emoji_other_faults_are_still_named():
    body = rb'{"custom_id":"a","method":"GET","url":"/v1/chat/completions","body":{"model":"small","x":"\ud83d"}}'
    assert faults(body + b"\n") == [(FileFault.INVALID_METHOD, 1, "method")]
    typed = raw_line(rb'["\ud83d"]').replace(b'"POST"', b"7")
    assert faults(typed) == [(FileFault.INVALID_REQUEST, 1, "method")]


def test_a_custom_id_must_be_text():
    assert faults(raw_line(b"[]", custom_id=b'"\\ud800"')) == [(FileFault.INVALID_REQUEST, 1, "custom_id")]
    assert faults(raw_line(b"[]", custom_id=b'"\xff"')) == [(FileFault.INVALID_JSON_LINE, 1, None)]


def test_a_huge_number_in_a_bad_line_does_not_hide_its_fault():
    line = raw_line(b"[" + b"9" * 10_000 + b"]", custom_id=b"7")
    assert faults(line) == [(FileFault.INVALID_REQUEST, 1, "custom_id")]


def test_a_huge_number_beside_a_cut_emoji_is_no_fault():
    content = raw_line(rb'["\ud83d"],"n":' + b"9" * 10_000)
    assert isinstance(check(content), Plan)


@pytest.mark.parametrize("depth", range(880, 1_000))
def test_however_deep_a_line_with_a_cut_emoji_is_it_is_read_or_refused(depth: int):
    result = check(raw_line(rb'["\ud83d"],"n":' + b"[" * depth + b"]" * depth))
    assert isinstance(result, Plan) or {fault.code for fault in result} == {FileFault.INVALID_JSON_LINE}


def test_of_a_key_that_stands_twice_the_last_counts():
    streaming = raw_line(b'[],"stream":false,"stream":true')
    twice = raw_line(b"[]", custom_id=b'"a","custom_id":"b"')
    assert faults(streaming) == [(FileFault.STREAMING_UNSUPPORTED, 1, "body.stream")]
    assert faults(twice + raw_line(b"[]", custom_id=b'"b"')) == [(FileFault.DUPLICATE_CUSTOM_ID, 2, "custom_id")]
    assert isinstance(check(twice + raw_line(b"[]")), Plan)


def test_a_duplicate_is_named_beside_what_else_is_wrong_with_its_line():
    streaming = body(stream=True)
    content = lines(streaming, request("a"), streaming, request("b"))
    assert faults(content) == [
        (FileFault.STREAMING_UNSUPPORTED, 1, "body.stream"),
        (FileFault.DUPLICATE_CUSTOM_ID, 2, "custom_id"),
        (FileFault.STREAMING_UNSUPPORTED, 3, "body.stream"),
        (FileFault.DUPLICATE_CUSTOM_ID, 3, "custom_id"),
    ]


def test_an_id_that_only_looks_the_same_is_not_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(CustomIds, "add", lambda self, custom_id: self._digests.append(7))  # all collide
    names = [str(number) for number in range(3 * REREAD_LINES_MAX)]
    assert isinstance(check(lines(*(request(name) for name in names))), Plan)
    assert faults(lines(*(request(name) for name in [*names, "5"]))) == [
        (FileFault.DUPLICATE_CUSTOM_ID, len(names) + 1, "custom_id")
    ]


def test_duplicates_after_a_line_that_was_not_kept_are_found():
    rules = FileRules(CHAT, RULES.models, line_bytes_max=200)
    content = lines(request("long", body={"model": "small", "messages": ["x" * 10_000]}), request("a"), request("a"))
    result = check(content, rules, block_bytes=64)
    assert not isinstance(result, Plan)
    assert [(fault.code, fault.line) for fault in result] == [
        (FileFault.LINE_TOO_LONG, 1),
        (FileFault.DUPLICATE_CUSTOM_ID, 3),
    ]


def test_more_duplicates_than_a_message_holds_are_counted():
    result = check(lines(*(request("a") for _ in range(FAULTS_MAX))) + b"x\n" * 9)
    assert not isinstance(result, Plan)
    assert (len(result), result[FAULTS_MAX - 1].line) == (FAULTS_MAX + 1, FAULTS_MAX + 1)
    assert "8 more lines" in result[-1].message


def test_all_bad_lines_are_reported_in_order():
    content = lines(without("url"), request("a"), request("a")) + b"{\n"
    assert [(line, code) for code, line, _ in faults(content)] == [
        (1, FileFault.MISSING_REQUIRED_PARAMETER),
        (2, FileFault.DUPLICATE_CUSTOM_ID),
        (3, FileFault.DUPLICATE_CUSTOM_ID),
        (4, FileFault.INVALID_JSON_LINE),
    ]


def test_one_model_a_file():
    other = body(model="other") | {"custom_id": "b"}
    assert faults(lines(request("a"), other)) == [(FileFault.MISMATCHED_MODEL, 2, "body.model")]


@pytest.mark.parametrize("content", [b"", b"\n", b"\n  \r\n\n", b"\xef\xbb\xbf"])
def test_a_file_without_requests_is_empty(content: bytes):
    assert faults(content) == [(FileFault.EMPTY_FILE, None, None)]


def test_blank_lines_a_bom_and_crlf_are_passed_over_but_lines_stay_physical():
    first, second = (json.dumps(request(name)).encode() for name in "ab")
    content = b"\xef\xbb\xbf" + first + b"\r\n\r\n" + second
    plan = check(content)
    assert isinstance(plan, Plan)
    assert list(plan.lines) == [1, 3]
    assert [content[ref.offset : ref.offset + ref.length] for ref in plan.refs([1, 3])] == [first, second]


def test_unicode_line_separators_do_not_end_a_line():
    raw = json.dumps(request("a\u2028b\u0085c"), ensure_ascii=False).encode()
    assert isinstance(check(raw + b"\n"), Plan)


def test_too_many_lines_are_a_fault_of_the_file_told_once_and_last():
    rules = FileRules(CHAT, RULES.models, lines_max=2)
    content = lines(*(request(str(number)) for number in range(9)))
    assert faults(content, rules) == [(FileFault.TOO_MANY_TASKS, None, None)]
    twice = lines(*(request("a") for _ in range(9)))
    assert faults(twice, rules) == [
        (FileFault.DUPLICATE_CUSTOM_ID, 2, "custom_id"),
        (FileFault.TOO_MANY_TASKS, None, None),
    ]


@pytest.mark.parametrize(
    "raw",
    [b"[]", b"5", b"null", b'"custom_id": "a",', b'{"custom_id": 5,', b'{"custom_id": "a", "body": {"model": 5,}}'],
)
def test_a_line_that_is_no_json_object_is_told_so_in_openais_words_first(raw: bytes):
    result = check(lines(request("b")) + raw + b"\n")
    assert not isinstance(result, Plan)
    assert [(fault.code, fault.line) for fault in result] == [(FileFault.INVALID_JSON_LINE, 2)]
    assert result[0].message.startswith(f"{UNPARSEABLE} ")


@pytest.mark.parametrize(
    "change", [{"url": "/v1/embeddings"}, {"method": "GET"}, {"method": None}, {"body": {}}, {"body": "text"}]
)
def test_a_line_with_another_fault_has_an_id_all_the_same(change: dict[str, object]):
    at_fault = {**request("a"), **change}
    [first, second] = faults(lines(at_fault, request("a")))
    assert first[1] == 1 and second == (FileFault.DUPLICATE_CUSTOM_ID, 2, "custom_id")
    assert [fault[1] for fault in faults(lines(request("a"), at_fault))] == [2, 2]


def test_what_has_no_id_is_no_duplicate():
    half_a_character = b'{"method": 5, "custom_id": "\\ud800"}\n'
    nameless = lines({**request("a"), "custom_id": ""}, {**request("a"), "custom_id": 5}) * 2
    nameless += (half_a_character + b"{no\n") * 2
    assert {fault[0] for fault in faults(nameless)}.isdisjoint({FileFault.DUPLICATE_CUSTOM_ID})


def test_a_line_beyond_the_limit_is_refused_without_being_kept():
    rules = FileRules(CHAT, RULES.models, line_bytes_max=200)
    long = json.dumps(request("long", body={"model": "small", "messages": ["x" * 10_000]})).encode()
    result = check(lines(request("a")) + long + b"\n", rules, block_bytes=64)
    assert not isinstance(result, Plan)
    assert [(fault.code, fault.line) for fault in result] == [(FileFault.LINE_TOO_LONG, 2)]


def test_more_faults_than_a_message_holds_are_counted():
    result = check(b"x\n" * (FAULTS_MAX + 3))
    assert not isinstance(result, Plan)
    assert len(result) == FAULTS_MAX + 1
    assert "3 more lines" in result[-1].message


@given(
    names=st.lists(st.text(min_size=1, max_size=5), min_size=1, max_size=20, unique=True),
    block_bytes=st.integers(1, 300),
    ends=st.sampled_from([b"\n", b"\r\n", b"\n\n"]),
)
def test_however_the_bytes_arrive_the_plan_finds_every_request(names: list[str], block_bytes: int, ends: bytes):
    content = ends.join(json.dumps(request(name)).encode() for name in names)
    plan = check(content, block_bytes=block_bytes)
    assert isinstance(plan, Plan)
    found = [parse_request_line(content[ref.offset : ref.offset + ref.length]) for ref in plan.refs(plan.lines)]
    assert [line.custom_id for line in found] == names


SCORING = FileRules("/v1/score", {SMALL: ("/v1/score",)})
RERANKING = FileRules("/v1/rerank", {SMALL: ("/v1/rerank",)})


def compared(url: str, **fields: object) -> bytes:
    return lines(request(url=url, body={"model": "small", **fields}))


@pytest.mark.parametrize(
    ("left", "right"),
    [("queries", "documents"), ("queries", "items"), ("text_1", "text_2"), ("data_1", "data_2")],
)
def test_a_score_compares_two_fields_in_any_of_the_engines_spellings(left: str, right: str):
    assert isinstance(check(compared("/v1/score", **{left: "a", right: ["b"]}), SCORING), Plan)
    [fault] = faults(compared("/v1/score", **{left: "a"}), SCORING)
    assert fault[0] is FileFault.INVALID_REQUEST and fault[2] in ("body.documents", f"body.{right}")


def test_a_rerank_needs_a_query_and_documents():
    assert isinstance(check(compared("/v1/rerank", query="a", documents=["b"]), RERANKING), Plan)
    assert faults(compared("/v1/rerank", documents=["b"]), RERANKING) == [(FileFault.INVALID_REQUEST, 1, "body.query")]
    assert faults(compared("/v1/rerank", query="a", documents=None), RERANKING)[0][2] == "body.documents"
    assert faults(compared("/v1/score", query="a", documents=["b"]), RERANKING)[0][0] is FileFault.INVALID_URL


@pytest.mark.parametrize("changes", [{"messages": None}, {"model": ""}, {"model": None}])
def test_what_is_empty_is_required_still(changes: dict[str, object]):
    name = next(iter(changes))
    assert faults(lines(body(**changes))) == [(FileFault.INVALID_REQUEST, 1, f"body.{name}")]


def test_streaming_is_refused_in_the_words_of_the_endpoint():
    result = check(lines(body(stream=True)))
    assert not isinstance(result, Plan)
    assert result[0].message == "Chat Completions: Streaming is not supported in the Batch API."


def embedding(custom_id: str, given: object) -> dict[str, object]:
    return request(custom_id, url="/v1/embeddings", body={"model": "vectors", "input": given})


def test_the_inputs_of_an_embeddings_file_are_bounded_together():
    rules = FileRules("/v1/embeddings", {ModelId("vectors"): ("/v1/embeddings",)}, lines_max=4)
    texts, tokens, many_tokens = ["a", "b"], [1, 2, 3, 4, 5], [[1], [2]]
    assert isinstance(check(lines(embedding("a", texts), embedding("b", tokens), embedding("c", "x")), rules), Plan)
    found = faults(
        lines(*(embedding(name, texts) for name in "ab"), embedding("c", many_tokens), embedding("d", "x")), rules
    )
    assert found == [(FileFault.TOO_MANY_TASKS, 3, "body.input")]
