"""What the registry knows of a model: its source, the engine that serves it, and the engine's arguments."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlsplit

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


BASE_URLS_COUNT_MAX = 64
HEADERS_COUNT_MAX = 32
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}")
"""RFC 9110, 5.6.2."""
_HEADER_VALUE = re.compile(r"[\x20-\x7e]{0,4096}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
OWN_HEADERS = frozenset(
    {"host", "content-length", "content-type", "transfer-encoding", "connection", "accept-encoding"}
)


class Discovery(StrEnum):
    """Where the replicas behind a base URL come from."""

    NONE = "none"
    """The URL is one replica."""
    DNS = "dns"
    """Each address of its host is one replica. The name is resolved repeatedly."""


class ServerAccess(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """How a runner connects to a server. Secrets are in the runner's environment: `api_key_variable` names the variable
    of a bearer key, `header_variables` those of headers. `ca_file` is the authority that signed its certificate, in
    PEM."""

    headers: dict[str, str] = {}
    header_variables: dict[str, str] = {}
    api_key_variable: str | None = None
    ca_file: str | None = None

    def fault(self) -> str | None:
        """Return what is wrong with the access, in plain words; None if nothing is."""
        names = [*self.headers, *self.header_variables]
        variables = [*self.header_variables.values(), *([self.api_key_variable] if self.api_key_variable else [])]
        if len(names) > HEADERS_COUNT_MAX:
            return f"there are more than {HEADERS_COUNT_MAX} headers"
        for name in names:
            if not _HEADER_NAME.fullmatch(name) or name.lower() in OWN_HEADERS:
                return f"{name!r} is not a header that can be set"
        if not all(_HEADER_VALUE.fullmatch(value) for value in self.headers.values()):
            return "a header's value has other characters than those of a line of ASCII"
        if not all(_VARIABLE.fullmatch(variable) for variable in variables):
            return "a variable of the environment is not named by letters, digits and _"
        return None


class DeviceOverrides(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Arguments and environment that apply on one kind of device only; they take precedence over the model's own."""

    arguments: dict[str, ArgumentValue] = {}
    environment: dict[str, str] = {}


class ModelDefinition(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """One `[[model]]` entry of models.toml.

    `package`, `hub`, `folder` and `base_url` name the source; a vLLM model has exactly one of the first three, an
    `http` engine has `base_url` or `base_urls`, a simulated one has none. `arguments` become `--key value` (true: a
    bare flag). `max_num_seqs` is how many requests the engine, or each replica of a fleet, runs at once; the runner
    derives its concurrency from it. A `pinned` model stays on the device if there is room for it beside others, and
    returns when the device has nothing to do. `access` applies to every URL that `access_by_url` does not name.
    """

    id: ModelId
    engine: EngineKind = EngineKind.VLLM
    package: str | None = None
    hub: str | None = None
    folder: str | None = None
    base_url: str | None = None
    base_urls: tuple[str, ...] = ()
    discovery: Discovery = Discovery.NONE
    access: ServerAccess = ServerAccess()
    access_by_url: dict[str, ServerAccess] = {}
    endpoints: tuple[str, ...] = ("/v1/chat/completions", "/v1/completions")
    max_num_seqs: int = 128
    arguments: dict[str, ArgumentValue] = {}
    environment: dict[str, str] = {}
    cpu: DeviceOverrides = DeviceOverrides()
    pinned: bool = False

    @property
    def trust(self) -> Trust:
        """The trust that follows from the arguments for any device. The engine follows the arguments for its own
        device."""
        hosts = " ".join(str(value) for value in self._argument(MEDIA_HOSTS)).lower().split()
        return Trust(frozenset(hosts), any(value is True for value in self._argument(CHAT_TEMPLATES)))

    def argument_fault(self) -> str | None:
        """Return what is wrong with an argument, in plain words; None if nothing is."""
        if self._argument(LOCAL_MEDIA):
            return f"{LOCAL_MEDIA} is not taken: requests may not name files of this machine"
        return None

    def _argument(self, name: str) -> list[ArgumentValue]:
        layers = (self.arguments, self.cpu.arguments)
        return [value for layer in layers for key, value in layer.items() if key.replace("_", "-") == name]

    def source_fault(self) -> str | None:
        """Return what is wrong with the source, in plain words; None if it fits the engine."""
        sources = [name for name in ("package", "hub", "folder") if getattr(self, name)]
        match self.engine:
            case EngineKind.VLLM if len(sources) != 1 or self.urls:
                return "a vllm model needs exactly one of package, hub or folder"
            case EngineKind.HTTP if sources or bool(self.base_url) == bool(self.base_urls):
                return "an http model needs base_url or base_urls, and no other source"
            case EngineKind.SIMULATED if sources or self.urls:
                return "a simulated model has no source"
            case EngineKind.HTTP:
                return next(self._url_faults(), None)
        return None

    @property
    def urls(self) -> tuple[str, ...]:
        """The base URLs of an `http` engine."""
        return (self.base_url,) if self.base_url else self.base_urls

    def access_of(self, url: str) -> ServerAccess:
        return self.access_by_url.get(url, self.access)

    def _url_faults(self) -> Iterator[str]:
        if len(self.urls) > BASE_URLS_COUNT_MAX:
            yield f"there are more than {BASE_URLS_COUNT_MAX} base_urls"
        if len({*self.urls}) < len(self.urls):
            yield "base_urls name a server twice"
        yield from (f"{url!r} is not a URL such as http://host:8000/v1" for url in self.urls if not _is_url(url))
        yield from (
            f"access_by_url names {url!r}, which is not among base_urls" for url in {*self.access_by_url} - {*self.urls}
        )
        yield from filter(None, (access.fault() for access in (self.access, *self.access_by_url.values())))


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        is_whole = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False
    return is_whole and parts.scheme in ("http", "https") and text.isascii() and text.isprintable() and " " not in text
