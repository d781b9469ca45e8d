from __future__ import annotations

import json
import resource
import sys
import tracemalloc
from collections.abc import Callable, Mapping
from pathlib import Path

import pandas
import polars
import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from vbatch.client import Format, PackageMissing, RequestTemplate, TableError
from vbatch.client.submission import submission
from vbatch.client.tables import text_files
from vbatch.client.tables.request_files import request_file
from vbatch.client.tables.sources import open_table

ROWS: list[Mapping[str, object]] = [{"id": "a", "text": "one, two"}, {"id": "b", "text": 'say "hi"\nand go'}]
TEMPLATE = RequestTemplate(model="m", prompt="{text}", id_column="id")


def requests_of(source: object, template: RequestTemplate = TEMPLATE, **more: object) -> dict[str, str]:
    """The prompt of each id, as the file that would be uploaded has it."""
    with submission(source, template, **more) as made:  # type: ignore[arg-type]  # what a caller may give
        lines = [json.loads(line) for line in made.content]
    return {line["custom_id"]: line["body"]["messages"][-1]["content"] for line in lines}


def csv_file(folder: Path) -> Path:
    path = folder / "rows.csv"
    path.write_text('\ufeffid,text\r\na,"one, two"\r\nb,"say ""hi""\nand go"\r\n', newline="")
    return path


def tsv_file(folder: Path) -> Path:
    path = folder / "rows.tsv"
    path.write_text('id\ttext\na\tone, two\nb\t"say ""hi""\nand go"\n')
    return path


def json_file(folder: Path) -> Path:
    path = folder / "rows.json"
    path.write_text(json.dumps(ROWS, indent=2))
    return path


def json_lines_file(folder: Path) -> Path:
    path = folder / "rows.jsonl"
    path.write_text("\n\n".join(map(json.dumps, ROWS)))
    return path


def parquet_file(folder: Path) -> Path:
    path = folder / "rows.parquet"
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(ROWS), path)
    return path


def arrow_file(folder: Path) -> Path:
    path = folder / "rows.arrow"
    table = pyarrow.Table.from_pylist(ROWS)
    with pyarrow.OSFile(str(path), "wb") as file, pyarrow.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)
    return path


def dataset_folder(folder: Path, rows: list[Mapping[str, object]] = ROWS) -> Path:
    """As `datasets` 5.2 writes it with `save_to_disk`: two shards in Arrow's stream format, and a state."""
    folder = folder / "saved"
    folder.mkdir(parents=True)
    names = [f"data-0000{number}-of-00002.arrow" for number in range(2)]
    for name, row in zip(names, rows, strict=True):
        table = pyarrow.Table.from_pylist([row])
        with pyarrow.OSFile(str(folder / name), "wb") as file, pyarrow.ipc.new_stream(file, table.schema) as writer:
            writer.write_table(table)
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": name} for name in names]}))
    (folder / "dataset_info.json").write_text("{}")
    return folder


def downloaded_folder(folder: Path) -> Path:
    """As the hub holds a dataset: Parquet files in `data`, one or more for each split."""
    data = folder / "hub" / "data"
    data.mkdir(parents=True)
    for number, row in enumerate(ROWS):
        path = data / f"train-0000{number}-of-00002.parquet"
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist([row]), path)
    return folder / "hub"


FILES = [
    csv_file,
    tsv_file,
    json_file,
    json_lines_file,
    parquet_file,
    arrow_file,
    dataset_folder,
    downloaded_folder,
]


@pytest.mark.parametrize("write", FILES)
def test_a_file_of_any_format_gives_the_same_requests(tmp_path: Path, write: Callable[[Path], Path]):
    assert requests_of(write(tmp_path)) == {"a": "one, two", "b": 'say "hi"\nand go'}


@pytest.mark.parametrize(
    "frame", [pandas.DataFrame, polars.DataFrame, pyarrow.Table.from_pylist, list], ids=lambda made: made.__name__
)
def test_a_frame_gives_the_same_requests(frame: Callable[[object], object]):
    assert requests_of(frame(ROWS)) == {"a": "one, two", "b": 'say "hi"\nand go'}


def test_numbers_of_frames_are_ids_as_they_are_written():
    assert list(requests_of(pandas.DataFrame({"id": [7, 8], "text": ["x", "y"]}))) == ["7", "8"]
    assert list(requests_of(polars.DataFrame({"id": [7, 8], "text": ["x", "y"]}))) == ["7", "8"]


def test_a_missing_value_of_a_frame_is_a_fault_of_its_row():
    with pytest.raises(TableError, match="row 2: 'text' is null"):
        requests_of(pandas.DataFrame({"id": [1, 2], "text": ["x", None]}))


def test_a_csv_keeps_what_looks_like_a_number(tmp_path: Path):
    path = tmp_path / "codes.csv"
    path.write_text("id,text\n007,1e3\n0010,NA\n")
    assert requests_of(path) == {"007": "1e3", "0010": "NA"}


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.text(st.characters(codec="utf-8"), min_size=1), min_size=1, max_size=5))
def test_any_text_comes_through_a_csv(tmp_path: Path, texts: list[str]):
    path = tmp_path / "any.csv"
    quoted = ('"' + text.replace('"', '""') + '"' for text in texts)
    path.write_text("text\r\n" + "".join(f"{text}\r\n" for text in quoted), newline="")
    assert list(requests_of(path, RequestTemplate(model="m", prompt="{text}")).values()) == texts


def test_columns_that_are_missing_are_named_before_anything_is_sent(tmp_path: Path):
    with pytest.raises(TableError, match=r"rows.csv: The input has no column 'body'. It has: 'id', 'text'."):
        requests_of(csv_file(tmp_path), RequestTemplate(model="m", prompt="{body}"))


def test_rows_at_fault_are_listed_with_their_numbers():
    rows = [{"id": "a", "text": "x"}, {"id": "", "text": "x"}, {"id": "a", "text": "x"}, {"id": "d", "text": None}]
    with pytest.raises(TableError) as caught:
        requests_of(rows)
    assert str(caught.value).splitlines() == [
        "The table: 3 rows cannot become requests; nothing was sent.",
        "  row 2: the id is missing: 'id' is empty",
        "  row 3: the id 'a' is that of row 1 already",
        "  row 4: 'text' is null",
    ]


def test_of_many_faults_the_first_ten_are_shown():
    with pytest.raises(TableError, match=r"1,000 rows(.|\n)*row 11: (.|\n)*and 990 more$"):
        requests_of([{"id": "a", "text": "x"}] * 1_001)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv", b"", "is empty: its first line must name the columns"),
        ("a.csv", b"id,id\n1,2\n", "more than one column 'id'"),
        ("a.csv", b"id,text\n1\n", r"row 1 \(line 2\) has 1 fields where the header has 2"),
        ("a.csv", b'id,text\n1,"x', "line 2: this is no CSV"),
        ("a.csv", b"id,text\n1,\xff\n", "is not UTF-8"),
        ("a.csv", b"id,text\n", "has no rows"),
        ("a.jsonl", b"", "has no rows"),
        ("a.jsonl", b'{"id":1,"text":"x"}\n[1]\n', "line 2 is not a JSON object"),
        ("a.jsonl", b'{"id":1,"text":NaN}\n', "At column 16: NaN is not JSON"),
        ("a.json", b'{"id":1}', "is no array of JSON objects"),
        ("a.json", b"[1]", "row 1 is not a JSON object"),
        ("a.parquet", b"PAR1", "is neither Parquet nor Arrow"),
        ("a.txt", b"x", "tells no format"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(tmp_path: Path, name: str, content: bytes, words: str):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(TableError, match=words):
        requests_of(path)


def test_a_file_that_is_not_there_says_so(tmp_path: Path):
    for name in ("a.csv", "a.jsonl", "a.parquet"):
        with pytest.raises(TableError, match="cannot be read: No such file"):
            requests_of(tmp_path / name)


def test_a_large_json_array_is_refused_with_advice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(text_files, "JSON_BYTES_MAX", 10)
    with pytest.raises(TableError, match=r"write it as JSON Lines \(.jsonl\)"):
        requests_of(json_file(tmp_path))


def test_rows_of_json_lines_may_differ(tmp_path: Path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"id":"a","text":"x","more":1}\n{"id":"b","words":"y"}\n')
    with pytest.raises(TableError, match="row 2: the column is missing: there is no 'text'; the row has 'id', 'words'"):
        requests_of(path)


def test_the_format_can_be_named(tmp_path: Path):
    path = csv_file(tmp_path).rename(tmp_path / "rows.txt")
    assert list(requests_of(path, format=Format.CSV)) == ["a", "b"]


def test_of_several_splits_one_must_be_chosen(tmp_path: Path):
    for split in ("train", "test"):
        dataset_folder(tmp_path / "both" / split).rename(tmp_path / "both" / f"_{split}")
        (tmp_path / "both" / split).rmdir()
        (tmp_path / "both" / f"_{split}").rename(tmp_path / "both" / split)
    (tmp_path / "both" / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    with pytest.raises(TableError, match=r"has the splits train, test. Choose one with --split"):
        requests_of(tmp_path / "both")
    assert list(requests_of(tmp_path / "both", split="test")) == ["a", "b"]
    with pytest.raises(TableError, match="There is no 'dev'"):
        requests_of(tmp_path / "both", split="dev")


def test_files_of_several_splits_are_not_mixed(tmp_path: Path):
    folder = downloaded_folder(tmp_path)
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(ROWS), folder / "data" / "test-00000-of-00001.parquet")
    with pytest.raises(TableError, match="has the splits test, train"):
        requests_of(folder)
    assert list(requests_of(folder, split="train")) == ["a", "b"]


def test_requests_can_be_a_list(tmp_path: Path):
    request = {"custom_id": "a", "method": "POST", "url": "/v1/embeddings", "body": {"model": "m", "input": "x"}}
    with submission([request], None) as made:
        assert (made.endpoint, [json.loads(line) for line in made.content]) == ("/v1/embeddings", [request])


def test_rows_without_a_template_are_told_what_is_missing(tmp_path: Path):
    with pytest.raises(TableError, match=r"To send the rows of a table, give a template \(--prompt\)"):
        with submission(csv_file(tmp_path), None):
            pass


def test_what_is_no_table_says_what_is():
    for source in (iter(ROWS), 7, b"x"):
        with pytest.raises(TableError, match="A table is a path, a pandas or polars frame"):
            requests_of(source)
    with pytest.raises(TableError, match="A row must be a mapping of columns to values, not tuple"):
        requests_of([("a", "x")])


def test_a_package_that_is_missing_says_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = parquet_file(tmp_path)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(PackageMissing, match=r"Parquet needs pyarrow, .* pip install pyarrow"):
        requests_of(path)


def test_a_csv_needs_no_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert list(requests_of(csv_file(tmp_path))) == ["a", "b"]


def test_a_temporary_folder_without_room_says_what_to_do(tmp_path: Path):
    """The process may write no file of more than 4 KiB, as if its disk were full there."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps({"id": number, "text": "x" * 100}) + "\n" for number in range(500)))
    resource.setrlimit(resource.RLIMIT_FSIZE, (4_096, before[1]))
    try:
        with pytest.raises(TableError, match="Set TMPDIR to a folder with room"):
            requests_of(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_large_csv_is_never_held_as_objects(tmp_path: Path):
    """Thirty thousand rows pass; the rows that are alive at once are those of one chunk."""
    path = tmp_path / "large.csv"
    with path.open("w") as file:
        file.write("id,text\n")
        file.writelines(f"{number},text of row {number}\n" for number in range(30_000))
    tracemalloc.start()
    try:
        with request_file(open_table(path), TEMPLATE) as made:
            assert made.lines == 30_000
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 4 << 20
