"""The three streams as they must be: created if missing, adjusted if that is safe, refused if it is not."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from vbatch.journal.jetstream import wire
from vbatch.journal.jetstream.requests import Requests
from vbatch.journal.port import TopologyMismatch, Unavailable
from vbatch.journal.settings import JournalSettings

StreamConfig = dict[str, object]

LOG_SUBJECTS = "evt.>"
WORK_SUBJECTS = "work.>"
DEAD_SUBJECTS = "dead.>"

# Changing one of these under stored messages would lose or reorder them, or weaken what an acknowledgement means.
FIXED = ("subjects", "storage", "retention", "discard", "deny_delete", "persist_mode", "mirror", "sources")
# The values that the server leaves out of its answer because they are the defaults.
_ABSENT: Mapping[str, object] = MappingProxyType(
    {"deny_delete": False, "persist_mode": "default", "mirror": None, "sources": None}
)


def wanted_streams(settings: JournalSettings) -> list[StreamConfig]:
    log = _stream(settings, settings.log_stream, LOG_SUBJECTS, settings.log_bytes_max)
    work = _stream(settings, settings.work_stream, WORK_SUBJECTS, settings.work_bytes_max)
    dead = _stream(settings, settings.dead_stream, DEAD_SUBJECTS, settings.dead_bytes_max)
    log |= {"allow_atomic": True, "deny_delete": True}
    dead |= {"max_msg_size": settings.dead_letter_bytes_max}
    # Orders that were settled long ago are dropped, or a busy week would fill the queue, which refuses orders when
    # full.
    work |= {"max_age": int(settings.work_age_seconds_max * 1e9), "max_msgs_per_subject": settings.work_orders_max}
    return [log, work, dead]


def _stream(settings: JournalSettings, name: str, subjects: str, bytes_max: int) -> StreamConfig:
    return {
        "name": name,
        "subjects": [subjects],
        "storage": "file",
        "num_replicas": settings.replicas,
        "retention": "limits",
        "discard": "new",
        "max_bytes": bytes_max,
        "max_msgs": -1,
        "max_msgs_per_subject": -1,
        "max_age": 0,
        "max_msg_size": settings.message_bytes_max,
        "duplicate_window": int(settings.duplicate_window_seconds * 1e9),
        "compression": "s2",
        "allow_direct": True,
        "deny_delete": False,
    }


async def provide(requests: Requests, settings: JournalSettings) -> None:
    """Create or adjust the streams. Several services may do this at once and at every start. Needs admin rights."""
    for config in wanted_streams(settings):
        await _provide_stream(requests, config)


async def _provide_stream(requests: Requests, config: StreamConfig) -> None:
    existing = await _info(requests, config)
    if existing is None:
        await _command(requests, "CREATE", config)
        existing = await _info(requests, config) or config
    if differences := _differences(existing, config):
        raise TopologyMismatch(f"stream {config['name']}: {'; '.join(differences)}. Archive and remove it first.")
    if any(existing.get(key) != value for key, value in config.items() if key not in FIXED):
        await _command(requests, "UPDATE", {**existing, **config})


def _differences(existing: StreamConfig, config: StreamConfig) -> list[str]:
    pairs = ((key, existing.get(key, _ABSENT.get(key)), config.get(key, _ABSENT.get(key))) for key in FIXED)
    return [f"{key} is {is_now!r}, must be {must!r}" for key, is_now, must in pairs if is_now != must]


async def _info(requests: Requests, config: StreamConfig) -> StreamConfig | None:
    async def attempt() -> StreamConfig | None:
        reply = await requests.request(f"$JS.API.STREAM.INFO.{config['name']}", b"")
        answer = wire.stream_answers.decode(reply.data)
        if answer.error is None:
            return answer.config
        if answer.error.err_code == wire.STREAM_NOT_FOUND:
            return None
        raise Unavailable(f"stream {config['name']}: {answer.error.description}")

    return await requests.persist(attempt)


async def _command(requests: Requests, verb: str, config: StreamConfig) -> None:
    body = msgspec.json.encode(config)

    async def attempt() -> None:
        reply = await requests.request(f"$JS.API.STREAM.{verb}.{config['name']}", body)
        error = wire.answers.decode(reply.data).error
        if error is not None and error.err_code != wire.STREAM_NAME_IN_USE:  # in use: another service created it
            raise wire.refusal(error, f"stream {config['name']} {verb.lower()}")

    await requests.persist(attempt)
