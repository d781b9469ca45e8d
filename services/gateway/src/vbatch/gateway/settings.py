"""The settings of the gateway and the files they name; the settings that every service needs come from the chassis."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pydantic import Field, SecretStr, field_validator

from vbatch.chassis.public_settings import PublicSettings
from vbatch.chassis.settings import BadSettings, postgres_url_of, variable
from vbatch.contracts.models import ModelDefinition
from vbatch.gateway.core.api_keys import NO_KEYS, ApiKeys, BadKeyFile, read_key_file
from vbatch.gateway.core.files.part_uploads import UPLOAD_BYTES_MAX
from vbatch.gateway.core.files.uploads import BATCH_FILE_BYTES_MAX
from vbatch.gateway.core.model_file import BadModelFile, read_model_file
from vbatch.gateway.core.rate_limits import Limited


class GatewaySettings(PublicSettings):
    """`VBATCH_GATEWAY_<FIELD>`, or the table [gateway]."""

    section: ClassVar[str] = "gateway"
    needs_postgres: ClassVar[bool] = True

    postgres_url: SecretStr | None = postgres_url_of(section)
    port: int = Field(4080, ge=0, le=65535, description="Where the API is served; 0 takes any free one.")
    models_file: Path = Field(Path("models.toml"), description="The models that batches may name.")
    api_keys_file: Path | None = Field(
        None,
        description="One `<name> <sha256 of the key>` a line; it counts until `vbatch keys init` was run.",
    )
    has_open_pages: bool = Field(
        False,
        description="Whether /ready, /metrics, /docs and /openapi.json ask nobody for a key; else only this machine.",
    )
    trusted_proxies: str = Field(
        "127.0.0.1",
        description="Addresses and networks, with commas, of proxies whose X-Forwarded-For names the client.",
    )
    guide_folder: Path = Field(
        Path("site"), description="The built documentation, served at /docs/guide where the folder exists at the start."
    )
    scheduler_url: str = Field("http://127.0.0.1:4083", description="Where the scheduler tells what it foresees.")
    notifier_url: str = Field("http://127.0.0.1:4086", description="Where the notifier tells what it has sent.")
    results_url: str = Field("http://127.0.0.1:4085", description="Where results says whether it is ready.")
    labeler_url: str | None = Field(None, description="Where the labeler says whether it is ready, if it runs.")
    gpu_runner_urls: str = Field(
        "http://127.0.0.1:4084",
        description="Where each runner says whether it is ready: one URL, or several with blanks between.",
    )
    own_write_seconds_max: float = Field(10.0, gt=0, description="How long an answer waits to show its own write.")
    log_seconds_max: float = Field(10.0, gt=0, description="How long an answer waits for an event log that is away.")
    event_streams_max: int = Field(100, ge=1, description="Event streams open at once.")
    creates_per_minute_max: int = Field(0, ge=0, description="Batches an API key may create a minute; 0: any number.")
    uploads_per_minute_max: int = Field(0, ge=0, description="Uploads an API key may begin a minute; 0: any number.")
    interactive_per_minute_max: int = Field(
        0, ge=0, description="Requests an API key may send a minute and wait for; 0: any number."
    )
    interactive_wait_seconds: float = Field(
        120.0, ge=0, le=3_600, description="How long a client waits for a model that is not loaded; then it gets a 503."
    )
    interactive_seconds_max: float = Field(3_600.0, gt=0, description="How long an engine may take for one of those.")
    reads_per_minute_max: int = Field(0, ge=0, description="GETs an API key may send a minute; 0: any number.")
    bytes_per_minute_max: int = Field(0, ge=0, description="Bytes an API key may send a minute; 0: any number.")
    batch_file_bytes_max: int = Field(
        BATCH_FILE_BYTES_MAX,
        ge=1_024,
        le=UPLOAD_BYTES_MAX,
        description="Bytes one batch file may have; how many requests, `scheduler.lines_max` says.",
    )
    head_seconds_max: float = Field(20.0, gt=0, description="The head of a request may take so long.")
    connections_max: int = Field(1_000, ge=1, description="Connections open at once.")
    body_silence_seconds_max: float = Field(60.0, gt=0, description="A request body may pause so long.")
    body_seconds_max: float = Field(3_600.0, gt=0, description="A request body may take so long.")
    disk_free_bytes_min: int = Field(
        256 << 20, ge=0, description="New work is refused when a disk of files or of the log has less left."
    )
    disk_free_share_min: float = Field(0.01, ge=0, lt=1, description="The same, as a share of the disk.")
    log_free_share_min: float = Field(
        0.05, ge=0, lt=1, description="New work is refused when less of the log's own limit is left."
    )
    heartbeat_seconds: float = Field(15.0, gt=0, description="Silence on an event stream is never longer.")

    @field_validator("trusted_proxies")
    @classmethod
    def _known_addresses(cls, text: str) -> str:
        """Refuse a name or a `*`, which would trust any client."""
        for part in text.split(","):
            ipaddress.ip_network(part.strip())
        return text

    @property
    def pinned_limits(self) -> dict[Limited, int]:
        """The rate limits that are set here: they take precedence over those of the log."""
        return {limited: getattr(self, limited) for limited in Limited if limited in self.model_fields_set}

    @property
    def webhook_secrets_folder(self) -> Path:
        """Shared with the notifier, which signs with the secrets in it."""
        return self.home / "secrets" / "webhooks"

    @property
    def results_folder(self) -> Path:
        return self.home / "results"


@dataclass(frozen=True, slots=True)
class Configuration:
    """The settings with the contents of their files."""

    settings: GatewaySettings
    keys: ApiKeys
    models: tuple[ModelDefinition, ...]


def read_configuration(settings: GatewaySettings) -> Configuration:
    """Read the files. Raises BadSettings, which names the file and its fault."""
    return Configuration(settings, _keys(settings), _models(settings.models_file))


def _keys(settings: GatewaySettings) -> ApiKeys:
    path = settings.api_keys_file
    if path is None:
        return NO_KEYS
    try:
        return read_key_file(_text(path, "api_keys_file"))
    except BadKeyFile as error:
        raise BadSettings(f"bad API key file {path}: {error}") from error


def _models(path: Path) -> tuple[ModelDefinition, ...]:
    try:
        return read_model_file(_text(path, "models_file"))
    except BadModelFile as error:
        raise BadSettings(f"bad model file {path}: {error}") from error


def _text(path: Path, field: str) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise BadSettings(f"{path} ({variable(GatewaySettings, field)}) cannot be read: {error}") from error
