"""How commands on this machine, and others, reach the log of the local stack."""

from __future__ import annotations

from pathlib import Path

from vbatch.journal.jetstream import connect
from vbatch.journal.settings import JournalSettings
from vbatch.local import nats_users
from vbatch.local.settings import LocalSettings


def keys_folder(home: Path) -> Path:
    return home / "secrets" / "nats"


def nkey_file(settings: LocalSettings, user: str) -> Path | None:
    """The key of a user of this stack's own server; the one in the settings, if any, for a server of the user's."""
    if settings.has_own_nats:
        return settings.nats_nkey_file
    return nats_users.key_file(keys_folder(settings.home), user)


def log_settings(settings: LocalSettings, name: str) -> JournalSettings:
    """With all rights, for one who owns the state folder. A stack that never ran with keys has none."""
    path = nkey_file(settings, nats_users.OPERATOR)
    changes = {
        "nats_url": settings.log_url,
        "log_bytes_max": settings.log_limit,
        "nats_nkey_file": path if path is not None and path.exists() else None,
    }
    return JournalSettings.of(settings.model_copy(update=changes), name)


async def provide_streams(settings: LocalSettings) -> None:
    """Make the streams for the services, who may not do that themselves. Raises what the journal raises."""
    async with connect(log_settings(settings, nats_users.OPERATOR)) as journal:
        await journal.topology()
