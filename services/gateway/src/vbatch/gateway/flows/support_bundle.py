"""The support bundle: a ZIP for people who help remotely, without secrets and without prompts."""

from __future__ import annotations

import asyncio
import io
import platform
import zipfile
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import distributions

from vbatch.gateway.core.dead_letters import letter_view
from vbatch.gateway.core.event_log import kind_of
from vbatch.gateway.core.log_lines import ServiceLine
from vbatch.gateway.core.server_views import RunnerRecord, ServiceReport, registry_view, runner_view, service_view
from vbatch.gateway.core.service_logs import ServiceLogsParams
from vbatch.gateway.core.settings_views import SettingsReport, settings_view
from vbatch.gateway.core.support_bundle import (
    EVENTS_COUNTED_MAX,
    LINES_MAX,
    README,
    BundleFile,
    json_file,
    logs_file,
    masked_file,
    outline,
)
from vbatch.gateway.flows.administration import Administration
from vbatch.gateway.flows.model_loads import ModelLoads
from vbatch.gateway.ports import ReadModelUnavailable
from vbatch.journal.port import Log

LETTERS_MAX = 100


@dataclass(frozen=True, slots=True)
class Bundling:
    """`secrets` are the texts that must not be in the bundle; `services` and `settings` are what the gateway and the
    other services report of themselves."""

    administration: Administration
    model_loads: ModelLoads
    services: Sequence[ServiceReport]
    settings: Sequence[SettingsReport]
    secrets: Collection[str]

    async def zipped(self) -> bytes:
        """Return the bytes of the bundle. Raises Unavailable while the log is away."""
        files = [
            BundleFile("README.txt", README),
            json_file("versions.json", _versions()),
            json_file("services.json", [service_view(report).model_dump() for report in self.services]),
            json_file("settings.json", settings_view(self.settings).model_dump()),
            json_file("runners.json", await self._runners()),
            json_file("models.json", await self._models()),
            json_file("events.json", await event_counts(self.administration.dependencies.log)),
            json_file("dead_letters.json", await self._letters()),
            logs_file("logs.jsonl", await self._lines()),
        ]
        return await asyncio.to_thread(_zip, [masked_file(file, self.secrets) for file in files])

    async def _runners(self) -> object:
        try:
            runners = await self.administration.dependencies.reads.runners()
        except ReadModelUnavailable:
            return {"trouble": "the read model is away"}
        return [self._runner(runner) for runner in runners]

    def _runner(self, runner: RunnerRecord) -> object:
        drained = self.administration.feed.runner_drains.find(runner.id)
        told = drained and replace(drained, reason=outline(drained.reason))
        return runner_view(runner, told).model_dump() | {"detail": outline(runner.detail)}

    async def _models(self) -> object:
        try:
            models = await self.administration.dependencies.reads.defined_models()
        except ReadModelUnavailable:
            return {"trouble": "the read model is away"}
        told = registry_view(models, await self.model_loads.histories()).model_dump()["data"]
        for model in told:
            model["loads"]["failure"] = outline(model["loads"]["failure"] or "")
        return told

    async def _letters(self) -> object:
        letters = await self.administration.letters(0, LETTERS_MAX)
        return [letter_view(letter).model_dump() | {"reason": outline(letter.reason)} for letter in letters]

    async def _lines(self) -> Sequence[ServiceLine]:
        logs = self.administration.dependencies.logs
        return [] if logs is None else (await logs.newest(ServiceLogsParams(LINES_MAX, level="debug"))).lines


async def event_counts(log: Log) -> dict[str, object]:
    """Return how many of the newest events in the log are of each type, and how large the log is."""
    head, fill = await log.last_sequence(), await log.fill()
    counts: Counter[str] = Counter()
    if head:
        async with log.tail(max(0, head - EVENTS_COUNTED_MAX), headers_only=True) as tail:
            async for records in tail:
                kinds = (kind_of(record) for record in records)
                counts.update(kind.name if kind else "unknown" for kind in kinds)
                if records[-1].sequence >= head:
                    break
    newest = dict(sorted(counts.items()))
    return {"last_sequence": head, "bytes": fill.bytes, "bytes_max": fill.bytes_max, "newest_by_type": newest}


def _versions() -> dict[str, object]:
    packages = {each.name: each.version for each in distributions() if each.name}
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": dict(sorted(packages.items())),
    }


def _zip(files: Sequence[BundleFile]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in files:
            archive.writestr(file.name, file.text)
    return content.getvalue()
