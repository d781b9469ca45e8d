"""One suite for the local folder and for an object store, which is obstore's in memory."""

import asyncio
import os
import resource
from pathlib import Path

import pytest

from vbatch.chassis.blobs import BadBlobName, BlobMissing, Blobs, BlobStoreFull, BlobTrouble, open_blobs
from vbatch.chassis.blobs.local import PARTIAL_FOLDER, LocalBlobs


@pytest.fixture(params=["file", "memory"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Blobs:
    return open_blobs(f"file://{tmp_path}/blobs" if request.param == "file" else "memory:///")


@pytest.fixture
def folder(tmp_path: Path) -> LocalBlobs:
    return LocalBlobs(tmp_path)


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


async def put(blobs: Blobs, name: str, *pieces: bytes) -> None:
    async with blobs.writer(name) as writer:
        for piece in pieces:
            await writer.write(piece)


async def read(blobs: Blobs, name: str, **limits: int) -> list[bytes]:
    return [chunk async for chunk in blobs.read_stream(name, **limits)]


async def test_what_was_written_in_pieces_is_read_in_chunks(blobs: Blobs):
    await put(blobs, "files/a", b"0123", b"", b"456789")
    assert await read(blobs, "files/a", chunk_bytes=4) == [b"0123", b"4567", b"89"]
    assert await read(blobs, "files/a", start=2, end=5) == [b"234"]
    assert await read(blobs, "files/a", start=8, end=500) == [b"89"]
    assert await blobs.size("files/a") == 10


async def test_an_empty_blob_is_a_blob(blobs: Blobs):
    await put(blobs, "empty")
    assert await blobs.size("empty") == 0
    assert await read(blobs, "empty") == []


async def test_a_blob_larger_than_every_buffer_comes_back_whole(blobs: Blobs):
    piece = os.urandom(700_000)
    await put(blobs, "large", *[piece] * 30)
    assert b"".join(await read(blobs, "large")) == piece * 30


async def test_blobs_of_a_folder_are_found_by_their_age(blobs: Blobs):
    for name in ("files/b", "files/a", "files/below/c", "parts/d"):
        await put(blobs, name, b"x")

    assert await blobs.older_than(-5, "files") == ["files/a", "files/b"]
    assert await blobs.older_than(60, "files") == []
    assert await blobs.older_than(-5, "nowhere") == []
    assert await blobs.older_than(-5, "files", is_deep=True) == ["files/a", "files/b", "files/below/c"]


async def test_ranges_come_in_the_order_asked(blobs: Blobs):
    await put(blobs, "a", b"0123456789")
    assert await blobs.read_ranges("a", [(7, 2), (0, 1), (7, 3)]) == [b"78", b"0", b"789"]
    assert await blobs.read_range("a", 3, 4) == b"3456"
    assert await blobs.read_ranges("a", []) == []


async def test_a_range_beyond_the_end_is_trouble_not_a_short_answer(blobs: Blobs):
    await put(blobs, "a", b"0123")
    with pytest.raises(BlobTrouble, match="has no 3 bytes at 2"):
        await blobs.read_range("a", 2, 3)


async def test_nothing_is_visible_before_the_block_ends(blobs: Blobs):
    async with blobs.writer("a") as writer:
        await writer.write(b"x" * 20_000_000)
        assert writer.size == 20_000_000
        assert not await blobs.exists("a")
    assert await blobs.exists("a")


async def test_an_error_in_the_block_leaves_the_old_blob(blobs: Blobs):
    await put(blobs, "a", b"old")
    with pytest.raises(KeyError):
        async with blobs.writer("a") as writer:
            await writer.write(b"x" * 20_000_000)
            raise KeyError("a client that went away")
    assert await read(blobs, "a") == [b"old"]


async def test_a_name_written_again_is_replaced(blobs: Blobs):
    await put(blobs, "a", b"old")
    await put(blobs, "a", b"new")
    assert await read(blobs, "a") == [b"new"]


async def test_deleting_twice_is_deleting_once(blobs: Blobs):
    await put(blobs, "a", b"x")
    await blobs.delete("a")
    await blobs.delete("a")
    assert not await blobs.exists("a")


async def test_every_reader_says_that_a_blob_is_missing(blobs: Blobs):
    with pytest.raises(BlobMissing):
        await blobs.size("none")
    with pytest.raises(BlobMissing):
        await blobs.read_ranges("none", [(0, 1)])
    with pytest.raises(BlobMissing):
        await read(blobs, "none")


@pytest.mark.parametrize("name", ["", "../etc/passwd", "/etc/passwd", "a/../b", "a//b", ".partial/x", "a/", "a\nb"])
async def test_a_name_that_leads_elsewhere_is_refused(blobs: Blobs, name: str):
    with pytest.raises(BadBlobName):
        await blobs.size(name)


def test_a_url_of_no_store_is_trouble():
    with pytest.raises(BlobTrouble, match="no blob store"):
        open_blobs("carrier-pigeon://coop")


async def test_an_aborted_write_leaves_no_file(folder: LocalBlobs, tmp_path: Path):
    with pytest.raises(KeyError):
        async with folder.writer("a") as writer:
            await writer.write(b"x" * 5_000_000)
            raise KeyError
    assert files_in(tmp_path) == []


async def test_a_cancelled_write_leaves_no_file(folder: LocalBlobs, tmp_path: Path):
    started = asyncio.Event()

    async def upload() -> None:
        async with folder.writer("a") as writer:
            while True:
                await writer.write(b"x" * 1_000_000)
                started.set()

    task = asyncio.create_task(upload())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert files_in(tmp_path) == []


async def test_a_full_store_is_named_and_leaves_no_file(folder: LocalBlobs, tmp_path: Path):
    # The kernel's limit on the size of a file stands in for a full disk.
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, before[1]))
    try:
        with pytest.raises(BlobStoreFull) as full:
            await put(folder, "a", *[b"x" * 1_000_000] * 4)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert full.value.can_retry
    assert files_in(tmp_path) == []


async def test_a_blob_deleted_while_it_is_read_is_read_to_its_end(folder: LocalBlobs):
    await put(folder, "a", b"0123")
    chunks = folder.read_stream("a", chunk_bytes=2)
    assert await anext(chunks) == b"01"
    await folder.delete("a")
    assert [chunk async for chunk in chunks] == [b"23"]


async def test_what_a_killed_writer_left_is_removed_and_what_a_living_one_writes_is_not(
    folder: LocalBlobs, tmp_path: Path
):
    async with folder.writer("b") as writer:
        await writer.write(b"half")
        left = tmp_path / PARTIAL_FOLDER / "left"
        left.write_bytes(b"half a blob")
        assert await folder.remove_abandoned() == 1
        assert not left.exists()
    assert await folder.remove_abandoned() == 0
    assert await folder.size("b") == 4
