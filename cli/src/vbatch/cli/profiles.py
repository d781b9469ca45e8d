"""The profile with which each model runs, according to the log: as it was loaded last, or as this machine would load
it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import groupby

from vbatch.contracts import events as e
from vbatch.contracts.codec import Unreadable, decode
from vbatch.contracts.ids import ModelId
from vbatch.contracts.message import Recorded
from vbatch.contracts.models import ModelDefinition
from vbatch.contracts.subjects import MODEL_EVENTS, MODELS_LOADING
from vbatch.gpu_runner.core.profile import SAID, in_words
from vbatch.journal.port import Log

Settings = tuple[e.ProfileSetting, ...]


@dataclass(frozen=True)
class Profiles:
    """What the log says about models. `foretold` says how a model that was never loaded would be loaded."""

    expected: Callable[[ModelDefinition], Settings]
    _definitions: dict[ModelId, ModelDefinition] = field(default_factory=dict)
    _loadings: dict[ModelId, e.ModelLoading] = field(default_factory=dict)

    def fold(self, event: e.Event) -> None:
        match event:
            case e.ModelRegistered():
                self._definitions[event.model.id] = event.model
            case e.ModelLoading():
                self._loadings[event.model] = event
            case _:
                pass  # says nothing about a profile

    def definition(self, model: ModelId) -> ModelDefinition | None:
        """Return the last registered definition of the model; None if the log does not have it."""
        return self._definitions.get(model)

    def lines(self, model: ModelId) -> Iterator[str]:
        """Yield the profile of one model, for a person; nothing if no value was chosen."""
        if loading := self._loadings.get(model):
            at = loading.at.astimezone().strftime("%Y-%m-%d %H:%M")
            yield from _told(f"loaded on {loading.runner_id}, {at}:", loading.profile)
        elif definition := self._definitions.get(model):
            settings = self.expected(definition)
            if any(setting.reason != SAID for setting in settings):
                yield from _told("never loaded yet; this machine would take:", settings)


async def read_profiles(log: Log, expected: Callable[[ModelDefinition], Settings]) -> Profiles:
    """Return everything that the log holds now. Raises Unavailable."""
    profiles, filters = Profiles(expected), (MODEL_EVENTS, MODELS_LOADING)
    newest = [await log.last(each) for each in filters]
    end = max((record.sequence for record in newest if record), default=0)
    if end:
        async with log.tail(0, filters) as arrivals:
            async for records in arrivals:
                _fold(profiles, records)
                if records[-1].sequence >= end:
                    break
    return profiles


def _fold(profiles: Profiles, records: list[Recorded]) -> None:
    for record in records:
        with suppress(Unreadable):  # written by a newer version: cannot be shown
            profiles.fold(decode(record))


def _told(heading: str, settings: Settings) -> Iterator[str]:
    """Yield what the device chose, one line for each reason; then what the definition says, on one line."""
    chosen = [setting for setting in settings if setting.reason != SAID]
    said = [in_words(setting) for setting in settings if setting.reason == SAID]
    if not settings:
        return
    yield heading
    for reason, same in groupby(chosen, key=lambda setting: setting.reason):
        yield f"  {', '.join(map(in_words, same))}: {reason}"
    if said:
        yield f"  {', '.join(said)}: as its definition says"
