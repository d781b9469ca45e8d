import json
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from vbatch.chassis.blobs import open_blobs
from vbatch.gateway.adapters import text_search as adapter
from vbatch.gateway.adapters.text_search import TextSearch
from vbatch.gateway.core import text_search
from vbatch.gateway.core.refusals import Refusal
from vbatch.gateway.core.text_search import (
    BEGINNING,
    Place,
    Scan,
    SearchParams,
    Side,
    Words,
    parse_search_params,
    place_text,
)


def answer(text: str, custom_id: str = "a", *, is_ascii: bool = False) -> bytes:
    body = {"choices": [{"finish_reason": "stop", "message": {"content": text}}]}
    line = {"custom_id": custom_id, "response": {"status_code": 200, "body": body}, "error": None}
    return json.dumps(line, ensure_ascii=is_ascii).encode() + b"\n"


def request(*said: str) -> bytes:
    body = {"messages": [{"role": "user", "content": text} for text in said]}
    return json.dumps({"custom_id": "a", "body": body}).encode() + b"\n"


def hits(words: str, lines: list[bytes], side: Side = Side.ANSWERS) -> list[int]:
    """The indexes of the lines that are found."""
    scan = Scan(Words(words), side, BEGINNING)
    scan.over(b"".join(lines))
    if side is Side.REQUESTS:
        return [number - 1 for number in scan.hits]
    starts = [sum(map(len, lines[:index])) for index in range(len(lines))]
    return [starts.index(hit) for hit in scan.hits]


@pytest.mark.parametrize("is_ascii", [True, False])
@pytest.mark.parametrize("words", ["Grüße", "grüße", "GRÜSSE", 'say "no"', "two\nlines", "日本", "back\\slash", "🎈"])
def test_words_are_found_however_json_writes_them(words: str, is_ascii: bool):
    text = 'Er sagt Grüße, GRÜSSE, Grüße; say "no"; two\nlines; 日本語; back\\slash; 🎈'
    assert hits(words, [answer("nothing"), answer(text, is_ascii=is_ascii)]) == [1]


def test_only_the_text_of_an_answer_and_its_custom_id_count():
    lines = [
        answer("a whole sentence"),
        answer("we stop here"),
        answer("message"),
        answer("other", custom_id="full stop"),
    ]
    assert hits("stop", lines) == [1, 3]
    assert hits("message", lines) == [2]


def test_the_message_of_an_error_is_its_text():
    error = b'{"custom_id":"a","response":null,"error":{"code":"request_timeout","message":"This took too long."}}\n'
    assert hits("too long", [answer("x"), error]) == [1]


def test_requests_are_searched_in_all_their_messages_and_named_by_their_line():
    lines = [b"\xef\xbb\xbf" + request("be brief", "tides?"), b"\r\n", request("be brief", "bees?"), request("tides")]
    assert hits("tides", lines, Side.REQUESTS) == [0, 3]
    assert hits("brief", lines, Side.REQUESTS) == [0, 2]


LETTERS = 'aAbB\n\t\\"/ éÉ'


@given(st.lists(st.text(LETTERS, max_size=12), max_size=8), st.text(LETTERS, min_size=1, max_size=3))
def test_a_scan_finds_what_looking_at_each_text_finds(texts: list[str], words: str):
    found = hits(words, [answer(text, "") for text in texts])
    assert {index for index, text in enumerate(texts) if words in text} <= set(found)
    assert all(words.casefold() in texts[index].casefold() for index in found)


@pytest.mark.parametrize("block_bytes", [7, 100, 1 << 20])
async def test_blocks_that_cut_lines_lose_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block_bytes: int):
    monkeypatch.setattr(adapter, "BLOCK_BYTES", block_bytes)
    lines = [answer(f"number {index}" if index % 3 else "needle") for index in range(40)]
    (tmp_path / "answers").write_bytes(b"".join(lines) + b"beyond what counts")
    size = sum(map(len, lines))
    found = await TextSearch().find(open_blobs(tmp_path.as_uri()), "answers", size, SearchParams("needle"))
    assert list(found.hits) == [sum(map(len, lines[:index])) for index in range(0, 40, 3)]
    assert (found.searched_to, found.total_bytes, found.next) == (size, size, None)


@pytest.mark.parametrize("side", list(Side))
async def test_a_search_that_is_full_goes_on_where_it_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, side: Side
):
    monkeypatch.setattr(text_search, "HITS_MAX", 4)
    make = answer if side is Side.ANSWERS else request
    (tmp_path / "lines").write_bytes(b"".join(make("needle" if index % 2 else "hay") for index in range(20)))
    size = (tmp_path / "lines").stat().st_size
    blobs, search = open_blobs(tmp_path.as_uri()), TextSearch()
    whole: list[int] = []
    place: Place | None = BEGINNING
    while place is not None:
        found = await search.find(blobs, "lines", size, SearchParams("needle", side, place))
        assert len(found.hits) <= 4
        whole, place = [*whole, *found.hits], found.next
    assert len(whole) == 10 == len(set(whole))
    if side is Side.REQUESTS:
        assert whole == list(range(2, 21, 2))


def test_the_place_of_a_search_is_given_back_as_text():
    assert parse_search_params({"contains": "x", "search_after": "7-2"}) == SearchParams("x", Side.ANSWERS, Place(7, 2))
    assert place_text(Place(7, 2)) == "7-2" and parse_search_params({}) is None


@pytest.mark.parametrize(
    "query", [{"search_after": "7"}, {"search_after": "-1-2"}, {"search_in": "both"}, {"contains": "x" * 257}]
)
def test_a_search_out_of_bounds_is_refused(query: dict[str, str]):
    with pytest.raises(Refusal):
        parse_search_params({"contains": "x"} | query)
