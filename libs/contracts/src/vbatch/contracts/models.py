"""What the registry knows of a model: its source, the engine that serves it, and the engine's arguments."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import msgspec

from vbatch.contracts.ids import ModelId

ArgumentValue = bool | int | float | str


MEDIA_HOSTS = "allowed-media-domains"
"""vLLM's argument: the hosts, separated by spaces, from which bodies may have media fetched."""
LOCAL_MEDIA = "allowed-local-media-path"
"""vLLM's argument that would let bodies name files of this machine; it is never accepted."""
CHAT_TEMPLATES = "trust-request-chat-template"
"""vLLM's argument that lets bodies bring chat templates."""


@dataclass(frozen=True, slots=True)
class Trust:
    """What the bodies for a model may make its engine do besides computing; nothing, unless models.toml allows it."""

    media_hosts: frozenset[str] = frozenset()
    has_chat_templates: bool = False


NO_TRUST = Trust()


class EngineKind(StrEnum):
    VLLM = "vllm"
    SIMULATED = "simulated"
    HTTP = "http"


class DeviceOverrides(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Arguments and environment that apply on one kind of device only; they take precedence over the model's own."""

    arguments: dict[str, ArgumentValue] = {}
    environment: dict[str, str] = {}


class ModelDefinition(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """One `[[model]]` entry of models.toml.

    `package`, `hub`, `folder` and `base_url` name the source; a vLLM model has exactly one of the first three, an
    `http` engine has `base_url`, a simulated one has none. `arguments` become `--key value` (true: a bare flag).
    `max_num_seqs` is how many requests the engine runs at once; the runner derives its concurrency from it. A `pinned`
    model stays on the device where there is room beside others, and comes back when the device has nothing to do.
    """

    id: ModelId
    engine: EngineKind = EngineKind.VLLM
    package: str | None = None
    hub: str | None = None
    folder: str | None = None
    base_url: str | None = None
    endpoints: tuple[str, ...] = ("/v1/chat/completions", "/v1/completions")
    max_num_seqs: int = 128
    arguments: dict[str, ArgumentValue] = {}
    environment: dict[str, str] = {}
    cpu: DeviceOverrides = DeviceOverrides()
    pinned: bool = False

    @property
    def trust(self) -> Trust:
        """The trust by the arguments for any device; the engine follows the arguments for its own device."""
        hosts = " ".join(str(value) for value in self._argument(MEDIA_HOSTS)).lower().split()
        return Trust(frozenset(hosts), any(value is True for value in self._argument(CHAT_TEMPLATES)))

    def argument_fault(self) -> str | None:
        """What is wrong with an argument, in plain words; None when nothing is."""
        if self._argument(LOCAL_MEDIA):
            return f"{LOCAL_MEDIA} is not taken: requests may not name files of this machine"
        return None

    def _argument(self, name: str) -> list[ArgumentValue]:
        layers = (self.arguments, self.cpu.arguments)
        return [value for layer in layers for key, value in layer.items() if key.replace("_", "-") == name]

    def source_fault(self) -> str | None:
        """What is wrong with the source, in plain words; None when it fits the engine."""
        sources = [name for name in ("package", "hub", "folder") if getattr(self, name)]
        match self.engine:
            case EngineKind.VLLM if len(sources) != 1 or self.base_url:
                return "a vllm model needs exactly one of package, hub or folder"
            case EngineKind.HTTP if sources or not self.base_url:
                return "an http model needs base_url and no other source"
            case EngineKind.SIMULATED if sources or self.base_url:
                return "a simulated model has no source"
        return None
