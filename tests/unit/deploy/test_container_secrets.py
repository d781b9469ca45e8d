"""What containers find before they start: each its own secrets, made once, and a server that knows only public keys."""

from __future__ import annotations

import stat
from pathlib import Path

import nkeys
import pytest

from vbatch.local import container_secrets, nats_users
from vbatch.local.container_secrets import MASTERS, READERS, provide


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    provide(tmp_path, tmp_path)
    return tmp_path


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_second_run_changes_nothing(folder: Path):
    before = contents(folder)
    provide(folder, folder)
    assert contents(folder) == before


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.folder)
def test_a_reader_finds_its_own_key_and_the_database_if_it_may(folder: Path, reader: container_secrets.Reader):
    found = {path.name for path in (folder / reader.folder).iterdir()}
    database, webhooks = ["postgres-url"] * reader.opens_database, ["webhooks"] * reader.shares_webhook_secrets
    tokens = ["label-studio-token-password"] * (reader.folder == "labeler") + ["lane-token"] * reader.uses_lane
    assert found == {"nats.nk", *database, *webhooks, *tokens}
    if reader.uses_lane:
        assert (folder / reader.folder / "lane-token").read_bytes() == (folder / MASTERS / "lane-token").read_bytes()
    master = nats_users.key_file(folder / MASTERS, reader.log_user)
    assert (folder / reader.folder / "nats.nk").read_bytes() == master.read_bytes()


def test_the_servers_configuration_knows_every_user_and_no_seed(folder: Path):
    configuration = (folder / "nats/nats.conf").read_text()
    for user in nats_users.users():
        seed = nats_users.key_file(folder / MASTERS, user.name).read_bytes()
        assert nkeys.from_seed(bytearray(seed)).public_key.decode() in configuration
        assert seed.decode() not in configuration
    assert 'listen: "0.0.0.0:4222"' in configuration and "sync_interval: always" in configuration


def test_each_service_has_a_role_of_its_own_and_the_operator_is_the_owner(folder: Path):
    users = {
        reader: (folder / reader / "postgres-url").read_text().removeprefix("postgresql://").split(":")[0]
        for reader in ("gateway", "results", "operator")
    }
    assert users == {"gateway": "vbatch_gateway", "results": "vbatch_results", "operator": "vbatch"}
    roles = (folder / "postgres" / "roles.sql").read_text()
    assert all((folder / MASTERS / user).read_text() in roles for user in ("vbatch_gateway", "vbatch_results"))


def test_the_exporter_is_not_given_the_owners_password(folder: Path):
    assert [path.name for path in (folder / "postgres-exporter").iterdir()] == ["monitor-password"]
    assert (folder / "postgres/monitor-password").read_text() != (folder / "postgres/postgres-password").read_text()


def test_masters_are_private_and_copies_are_for_the_group(folder: Path):
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*") if path.is_file()}
    assert {mode for path, mode in modes.items() if path.parent.name == MASTERS} == {0o600}
    assert {mode for path, mode in modes.items() if path.parent.name != MASTERS} == {0o440}


def test_label_studio_reads_a_shell_file(folder: Path):
    lines = (folder / "label-studio/environment").read_text().splitlines()
    assert [line.split("=")[0] for line in lines] == [
        "export POSTGRE_PASSWORD",
        "export LABEL_STUDIO_PASSWORD",
        "export LABEL_STUDIO_USER_TOKEN",
    ]
    assert all(line.split("=")[1].isalnum() for line in lines)
