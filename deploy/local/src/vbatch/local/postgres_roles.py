"""The roles of PostgreSQL: results owns the read model, the gateway only reads it, and the operator (`vbatch`) is the
superuser that no service uses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from urllib.parse import quote

from vbatch.local import postgres


class Role(StrEnum):
    """A service that opens the database. The value is also the service's section of the settings."""

    RESULTS = "results"
    GATEWAY = "gateway"

    @property
    def user(self) -> str:
        return f"{postgres.USER}_{self.value}"


WRITER, READER = Role.RESULTS.user, Role.GATEWAY.user


def statements(passwords: Mapping[Role, str]) -> tuple[str, ...]:
    """Return the statements that create the roles, or update existing ones. A password needs no quoting: it has
    letters, digits, `-` and `_` only."""
    made = (statement for role in Role for statement in _made(role, passwords[role]))
    return (
        *made,
        f"REVOKE ALL ON DATABASE {postgres.DATABASE} FROM PUBLIC",
        f"GRANT CONNECT, CREATE ON DATABASE {postgres.DATABASE} TO {WRITER}",
        f"GRANT CONNECT ON DATABASE {postgres.DATABASE} TO {READER}",
        f"ALTER ROLE {READER} SET default_transaction_read_only = on",
        f"ALTER DEFAULT PRIVILEGES FOR ROLE {WRITER} GRANT USAGE ON SCHEMAS TO {READER}",
        f"ALTER DEFAULT PRIVILEGES FOR ROLE {WRITER} GRANT SELECT ON TABLES TO {READER}",
        _HAND_OVER,
    )


def _made(role: Role, password: str) -> tuple[str, str]:
    exists = f"SELECT FROM pg_roles WHERE rolname = '{role.user}'"
    return (
        f"DO $$ BEGIN IF NOT EXISTS ({exists}) THEN CREATE ROLE {role.user} LOGIN; END IF; END $$",
        f"ALTER ROLE {role.user} PASSWORD '{password}'",
    )


_OLD_TABLES = "SELECT schemaname AS schema, tablename AS name FROM pg_tables WHERE schemaname LIKE 'read_model%'"
_OLD_SCHEMAS = "SELECT nspname AS schema FROM pg_namespace WHERE nspname LIKE 'read_model%'"
_HAND_OVER = (
    "DO $$ DECLARE found record; BEGIN "
    f"FOR found IN {_OLD_TABLES} LOOP "
    f"EXECUTE format('ALTER TABLE %I.%I OWNER TO {WRITER}', found.schema, found.name); "
    f"EXECUTE format('GRANT SELECT ON %I.%I TO {READER}', found.schema, found.name); END LOOP; "
    f"FOR found IN {_OLD_SCHEMAS} LOOP "
    f"EXECUTE format('ALTER SCHEMA %I OWNER TO {WRITER}', found.schema); "
    f"EXECUTE format('GRANT USAGE ON SCHEMA %I TO {READER}', found.schema); END LOOP; END $$"
)
"""From now on, a read model that was created before there were roles belongs to results."""


MADE = "vbatch-roles"
"""A file in the folder of a cluster whose roles were created. A new cluster beside old secrets, as after a restore, has
none."""


@dataclass(frozen=True, slots=True)
class RoleFiles:
    """Where the passwords and URLs of the roles are, below the folder of secrets."""

    folder: Path

    def password(self, role: Role) -> Path:
        return self.folder / f"postgres-{role.value}-password"

    def url(self, role: Role) -> Path:
        return self.folder / f"postgres-{role.value}-url"


def url_of(role: Role, password: str, port: int, *, host: str = postgres.HOST) -> str:
    """Return the URL for the service. It holds the password: never log it."""
    return f"postgresql://{role.user}:{quote(password, safe='')}@{host}:{port}/{postgres.DATABASE}"
