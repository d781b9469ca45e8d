"""Results writes the read model, the gateway reads it and can do nothing else."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from tests.support.postgres import PostgresServer, free_port, running_postgres
from vbatch.contracts.read_model import SCHEMA
from vbatch.local import postgres, programs
from vbatch.local.commands import LocalTrouble
from vbatch.local.postgres_roles import Role, RoleFiles, statements, url_of
from vbatch.local.settings import LocalSettings
from vbatch.results.adapters.postgres import read_model

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

PASSWORDS = {role: f"password-of-{role.value}" for role in Role}
WRITING = "SET default_transaction_read_only = off"
FORBIDDEN = (
    f"DELETE FROM {SCHEMA}.batch",
    f"DROP SCHEMA {SCHEMA} CASCADE",
    "CREATE TABLE public.mine (id int)",
    "CREATE SCHEMA mine",
    "SELECT passwd FROM pg_shadow",
    "SELECT pg_read_file('/etc/passwd')",
    "COPY (SELECT 1) TO PROGRAM 'true'",
)


@asynccontextmanager
async def as_role(server: PostgresServer, role: Role) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    connection = await asyncpg.connect(url_of(role, PASSWORDS[role], server.port))
    try:
        yield connection
    finally:
        await connection.close()


async def provide_read_model(url: str) -> None:
    async with read_model(url) as model:
        await model.prepare()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tmp_path.chmod(0o755)  # PostgreSQL runs as another user when the tests run as root
    return tmp_path


@pytest.fixture
def server(folder: Path) -> Iterator[PostgresServer]:
    postgres.initialise(folder / "postgres", folder / "password", durable=False)
    postgres.execute(folder / "postgres", statements(PASSWORDS))
    with running_postgres(folder) as running:
        yield running


async def test_the_gateway_reads_what_results_writes_and_can_do_nothing_else(server: PostgresServer):
    await provide_read_model(url_of(Role.RESULTS, PASSWORDS[Role.RESULTS], server.port))
    async with as_role(server, Role.GATEWAY) as gateway:
        assert await gateway.fetchval(f"SELECT sequence FROM {SCHEMA}.checkpoint") == 0
        with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
            await gateway.execute(FORBIDDEN[0])
        await gateway.execute(WRITING)
        for statement in FORBIDDEN:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await gateway.execute(statement)


async def test_results_exchanges_schemas_and_rules_nothing_else(server: PostgresServer):
    await provide_read_model(url_of(Role.RESULTS, PASSWORDS[Role.RESULTS], server.port))
    async with as_role(server, Role.RESULTS) as results:
        await results.execute(f"ALTER SCHEMA {SCHEMA} RENAME TO {SCHEMA}_replaced")
        for statement in ("CREATE ROLE mine", "SELECT passwd FROM pg_shadow", "COPY (SELECT 1) TO PROGRAM 'true'"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await results.execute(statement)


async def test_a_read_model_from_before_the_roles_is_handed_over(folder: Path):
    with running_postgres(folder) as server:
        await provide_read_model(server.url())
    postgres.execute(folder / "postgres", statements(PASSWORDS))
    postgres.execute(folder / "postgres", statements(PASSWORDS))
    with running_postgres(folder) as server:
        await provide_read_model(url_of(Role.RESULTS, PASSWORDS[Role.RESULTS], server.port))
        async with as_role(server, Role.RESULTS) as results, as_role(server, Role.GATEWAY) as gateway:
            await results.execute(f"UPDATE {SCHEMA}.checkpoint SET sequence = 7")
            assert await gateway.fetchval(f"SELECT sequence FROM {SCHEMA}.checkpoint") == 7


async def test_a_new_cluster_beside_the_secrets_of_an_old_one_gets_the_roles(folder: Path):
    settings = LocalSettings(home=folder / "home", postgres_port=free_port())
    programs.prepare(settings)
    shutil.rmtree(settings.home / "postgres")
    programs.prepare(settings)
    secrets = RoleFiles(settings.home / "secrets")
    shutil.copy(secrets.folder / "postgres-password", settings.home / "password")
    with running_postgres(settings.home) as server:
        for role in Role:
            url = url_of(role, secrets.password(role).read_text(), server.port)
            await (await asyncpg.connect(url)).close()


def test_a_statement_that_fails_is_told(folder: Path):
    postgres.initialise(folder / "postgres", folder / "password", durable=False)
    with pytest.raises(LocalTrouble, match="nowhere"):
        postgres.execute(folder / "postgres", ["SELECT * FROM nowhere"])
