from pathlib import Path

import asyncpg
import pytest

from tests.support.postgres import PostgresServer, crash, running_postgres
from vbatch.local import postgres
from vbatch.local.commands import LocalTrouble

pytestmark = pytest.mark.integration


async def test_a_fresh_database_takes_tables_and_rows(postgres_url: str):
    connection = await asyncpg.connect(postgres_url)
    await connection.execute("CREATE TABLE answers (line int); INSERT INTO answers VALUES (1)")
    assert await connection.fetchval("SELECT count(*) FROM answers") == 1
    await connection.close()


async def test_the_next_test_sees_nothing_of_it(postgres_url: str):
    connection = await asyncpg.connect(postgres_url)
    assert await connection.fetchval("SELECT to_regclass('answers')") is None
    await connection.close()


async def test_a_wrong_password_is_refused(postgres_server: PostgresServer):
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(
            host=postgres.HOST,
            port=postgres_server.port,
            user=postgres.USER,
            password="guess",
            database="vbatch",
        )


def test_the_server_never_runs_as_root(postgres_server: PostgresServer):
    status = Path(f"/proc/{postgres_server.pid}/status").read_text()
    uids = next(line for line in status.splitlines() if line.startswith("Uid:")).split()[1:]
    assert "0" not in uids


async def test_data_below_a_closed_folder_is_reached_without_opening_it(tmp_path: Path):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    with running_postgres(closed) as server:
        connection = await asyncpg.connect(server.url())
        assert await connection.fetchval("SELECT 1") == 1
        await connection.close()
    assert closed.stat().st_mode & 0o777 == 0o700


async def test_data_survive_a_crash_and_a_second_initialise(tmp_path: Path):
    with running_postgres(tmp_path) as server:
        connection = await asyncpg.connect(server.url())
        await connection.execute("CREATE TABLE kept ()")
        await connection.execute("CHECKPOINT")
        await connection.close()
        crash(server)
    with running_postgres(tmp_path) as server:
        connection = await asyncpg.connect(server.url())
        assert await connection.fetchval("SELECT to_regclass('kept')") == "kept"
        await connection.close()


def test_the_password_is_readable_by_its_owner_only(tmp_path: Path):
    postgres.initialise(tmp_path / "data", tmp_path / "secrets" / "password", durable=False)
    assert (tmp_path / "secrets" / "password").stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "secrets"]


def test_a_cluster_whose_password_is_lost_says_what_to_do(tmp_path: Path):
    postgres.initialise(tmp_path / "data", tmp_path / "password", durable=False)
    (tmp_path / "password").unlink()
    with pytest.raises(LocalTrouble, match="restore the file"):
        postgres.initialise(tmp_path / "data", tmp_path / "password", durable=False)


def test_a_folder_with_other_things_in_it_is_left_alone(tmp_path: Path):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(LocalTrouble, match="is not empty"):
        postgres.initialise(tmp_path, tmp_path / "password")


def test_a_socket_name_too_long_for_the_kernel_is_not_used():
    assert postgres.usable_socket_dir(Path("/tmp/" + "x" * 100)) is None
    assert postgres.usable_socket_dir(Path("/tmp/run")) == Path("/tmp/run")
