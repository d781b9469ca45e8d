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
    """Return the key file of a user of this stack's own server; for a server of your own, the one in the settings, if
    any."""
    if settings.has_own_nats:
        return settings.nats_nkey_file
    return nats_users.key_file(keys_folder(settings.home), user)


def log_settings(settings: LocalSettings, name: str) -> JournalSettings:
    """Return settings with all rights, for the owner of the state folder. A stack that never used keys has none."""
    path = nkey_file(settings, nats_users.OPERATOR)
    changes = {
        "nats_url": settings.log_url,
        "log_bytes_max": settings.log_limit,
        "nats_nkey_file": path if path is not None and path.exists() else None,
    }
    return JournalSettings.of(settings.model_copy(update=changes), name)


async def provide_streams(settings: LocalSettings) -> None:
    """Create the streams for the services, which may not do it themselves. Raises what the journal raises."""
    async with connect(log_settings(settings, nats_users.OPERATOR)) as journal:
        await journal.topology()
