"""`python -m vbatch.local.container_secrets FOLDER STORE` creates what containers need before they start.

Those are the configuration of nats-server, whose store is STORE, and the keys and passwords of the stack. Each reader's
files are in a folder of its own below FOLDER, which is a volume of its own: a container gets only its own secrets.
Existing files stay, so that a second run changes nothing but the server's configuration.
"""

import secrets
import sys
from dataclasses import dataclass
from pathlib import Path

from vbatch.chassis.files import write_atomically
from vbatch.chassis.settings import LANE_TOKEN_FILE
from vbatch.local import nats, nats_users, postgres
from vbatch.local.postgres_roles import Role, statements, url_of

ANY_ADDRESS = "0.0.0.0"
NATS_PORT, NATS_MONITOR_PORT = 4222, 8222
POSTGRES_HOST, POSTGRES_PORT = "postgres", 5432
PASSWORD_BYTES = 24
READABLE_BY_GROUP = 0o440
"""Third-party images run as users of their own, who are given the group of these files."""

MASTERS = "masters"
NKEY_FILE = "nats.nk"
WEBHOOKS = "webhooks"
POSTGRES_URL_FILE = "postgres-url"


@dataclass(frozen=True, slots=True)
class Reader:
    """A container of ours: its user on the log, the role in which it opens the database if it does, and whether the
    volume of sealed webhook secrets is mounted into its own secrets, which are read-only there."""

    folder: str
    log_user: str
    database_role: Role | None = None
    is_operator: bool = False
    shares_webhook_secrets: bool = False
    uses_lane: bool = False
    """Whether it sends the token of the interactive lane, or requires it."""

    @property
    def opens_database(self) -> bool:
        return self.is_operator or self.database_role is not None


READERS = (
    Reader("gateway", "gateway", Role.GATEWAY, shares_webhook_secrets=True, uses_lane=True),
    Reader("scheduler", "scheduler", uses_lane=True),
    Reader("results", "results", Role.RESULTS),
    Reader("gpu-runner", "gpu-runner", uses_lane=True),
    Reader("notifier", "notifier", shares_webhook_secrets=True),
    Reader("labeler", "labeler"),
    Reader("operator", nats_users.OPERATOR, is_operator=True),
)

PASSWORD_READERS = {
    "postgres": ("postgres",),
    "monitor": ("postgres", "postgres-exporter"),
    **{role.user: () for role in Role},
    "grafana": ("grafana",),
    "label-studio-db": ("label-studio-db",),
    "label-studio-admin": (),
    "label-studio-token": ("labeler",),
}
"""Which reader gets which password, in addition to the URLs and the environment file that are made from some of
them."""


def main() -> None:
    """Write everything. Prints the folders, never a secret."""
    folder, store = (Path(argument) for argument in sys.argv[1:])
    provide(folder, store)
    sys.stdout.write(f"secrets and configuration are in {folder}\n")


def provide(folder: Path, store: Path) -> None:
    """Complete `folder`. `store` is the folder of nats-server on the disk that its limits follow."""
    masters = folder / MASTERS
    nats_users.provide_keys(masters)
    _provide_password(masters / LANE_TOKEN_FILE.name)
    for name, readers in PASSWORD_READERS.items():
        _provide_password(masters / name)
        for reader in readers:
            _write(folder / reader / f"{name}-password", (masters / name).read_bytes())
    for each in READERS:
        _provide_reader(folder / each.folder, each, masters)
    passwords = {role: (masters / role.user).read_text() for role in Role}
    roles = "".join(f"{statement};\n" for statement in statements(passwords))
    _write(folder / "postgres" / "roles.sql", roles.encode())
    _write(folder / "nats" / "nats.conf", _nats_configuration(masters, store).encode())
    _write(folder / "label-studio" / "environment", _label_studio_environment(masters).encode())


def _provide_password(path: Path) -> None:
    if not path.exists():
        write_atomically(path, secrets.token_hex(PASSWORD_BYTES).encode())


def _provide_reader(folder: Path, reader: Reader, masters: Path) -> None:
    _write(folder / NKEY_FILE, nats_users.key_file(masters, reader.log_user).read_bytes())
    if reader.opens_database:
        _write(folder / POSTGRES_URL_FILE, _database_url(reader.database_role, masters).encode())
    if reader.uses_lane:
        _write(folder / LANE_TOKEN_FILE.name, (masters / LANE_TOKEN_FILE.name).read_bytes())
    if reader.shares_webhook_secrets:
        (folder / WEBHOOKS).mkdir(parents=True, exist_ok=True)


def _database_url(role: Role | None, masters: Path) -> str:
    if role is None:
        return postgres.url(masters / "postgres", POSTGRES_PORT, host=POSTGRES_HOST)
    return url_of(role, (masters / role.user).read_text(), POSTGRES_PORT, host=POSTGRES_HOST)


def _nats_configuration(masters: Path, store: Path) -> str:
    return nats.render(store, NATS_PORT, NATS_MONITOR_PORT, host=ANY_ADDRESS) + nats_users.render(masters)


def _label_studio_environment(masters: Path) -> str:
    """Return a shell file: Label Studio's entry point reads the files named in ENV_INJECT_SOURCES."""
    variables = {
        "POSTGRE_PASSWORD": "label-studio-db",
        "LABEL_STUDIO_PASSWORD": "label-studio-admin",
        "LABEL_STUDIO_USER_TOKEN": "label-studio-token",
    }
    return "".join(f"export {name}={(masters / master).read_text()}\n" for name, master in variables.items())


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, content, mode=READABLE_BY_GROUP)


if __name__ == "__main__":
    main()
