"""Typed settings of a service: the environment overrides one TOML file, which overrides the defaults. Checked once at
start.

The first of these that is set gives a field `port` of the section `gateway` its value: VBATCH_GATEWAY_PORT,
VBATCH_PORT, the table [gateway] of the file that VBATCH_CONFIG names, the top level of that file.
"""

import os
import sys
import tomllib
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

PREFIX = "VBATCH_"
CONFIG_VARIABLE = "VBATCH_CONFIG"
STACK_VARIABLE = "VBATCH_STACK"
"""Every process of a stack, and each of its children, carries the stack's home under this name."""
POSTGRES_URL_FILE = Path("secrets") / "postgres-url"
LANE_TOKEN_FILE = Path("secrets") / "lane-token"
EXIT_BAD_SETTINGS = 2
MIB = 1024 * 1024
GIB = 1024 * MIB

LogLevel = Literal["debug", "info", "warning", "error"]
S = TypeVar("S", bound="ServiceSettings")


class BadSettings(Exception):
    """The settings cannot be used. The text lists every bad field and never shows a value."""


class ServiceSettings(BaseSettings):
    """What every service needs. A service subclasses it, names its `section` and sets a `port` default."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, extra="forbid", frozen=True, hide_input_in_errors=True, env_ignore_empty=True
    )

    section: ClassVar[str] = "common"
    needs_postgres: ClassVar[bool] = False

    home: Path = Field(default=Path("var"), validate_default=True, description="The folder that holds all state.")
    nats_url: str = Field(
        default="nats://127.0.0.1:4322",
        description="The event log: a server, or those of a cluster with commas between them.",
    )
    nats_replicas: int = Field(
        default=1, ge=1, le=5, description="How many servers of a cluster keep the log; with 3 it outlives one of them."
    )
    nats_nkey_file: Path | None = Field(
        default=None, description="A file with this service's key for the event log: the seed of a NATS nkey."
    )
    nats_ca_file: Path | None = Field(
        default=None, description="Who signed the certificate of an event log at `tls://`, in PEM, if not known here."
    )
    log_folder: Path | None = Field(
        default=None, description="The store of the event log's server, where its disk can be seen from here."
    )
    log_bytes_max: int = Field(
        default=8 * GIB, ge=32 * MIB, description="How large the event log may become, uncompressed."
    )
    log_free_bytes_min: int = Field(
        default=64 * MIB, ge=0, description="Nothing is written to the log when its disk has less left."
    )
    disk_bytes_max: int = Field(
        default=0,
        ge=0,
        description="Bytes the home may hold; from 80 % on batches are archived at once, from 90 % on new work is "
        "refused. 0: as many as the disk has.",
    )
    postgres_url: SecretStr | None = Field(
        default_factory=lambda data: _embedded_postgres_url(data["home"]),
        validate_default=True,
        description="The read model; by default the embedded server of the local stack.",
    )
    blob_url: str = Field(
        default_factory=lambda data: f"file://{data['home']}/blobs",
        description="Where files are kept: file://, s3://, gs://, az:// or memory://.",
    )
    archive_url: str | None = Field(
        default=None, description="Where archives of ended batches are kept; beside the files without it."
    )
    log_level: LogLevel = Field(default="info", description="Events below this level are not written.")
    otlp_endpoint: str | None = Field(default=None, description="OTLP/HTTP base URL for traces; none are sent without.")
    otlp_logs_endpoint: str | None = Field(
        default=None,
        description="OTLP/HTTP base URL for logs, beside what is written: for Loki `http://HOST:3100/otlp`.",
    )
    webhooks_allow_private: bool = Field(
        default=False,
        description="Webhooks may also go to http:// and to private addresses, loopback included.",
    )
    lane_token_file: Path | None = Field(
        default=None,
        description="What gateway, scheduler and runners show each other; by default `secrets/lane-token` in the home.",
    )
    host: str = Field(default="127.0.0.1", description="The address to listen on.")
    port: int = Field(default=0, ge=0, le=65535, description="The port to listen on; 0 takes any free one.")

    @field_validator("home")
    @classmethod
    def _home_is_absolute(cls, home: Path) -> Path:
        return home.expanduser().absolute()

    @field_validator("nats_replicas")
    @classmethod
    def _replicas_can_agree(cls, count: int) -> int:
        if count % 2 == 0:
            raise ValueError("must be 1, 3 or 5: of an even number two halves could disagree")
        return count

    @field_validator("nats_nkey_file")
    @classmethod
    def _key_is_there(cls, path: Path | None) -> Path | None:
        if path is not None and not path.is_file():
            raise ValueError(f"{path} is not there: `vbatch up` makes the keys of the local stack")
        return path

    @property
    def archives_url(self) -> str:
        """The URL of the store of the archives."""
        return self.archive_url or self.blob_url

    @property
    def nats_nkey_seed(self) -> str | None:
        """The key itself. Never log it."""
        return self.nats_nkey_file.read_text().strip() if self.nats_nkey_file else None

    @property
    def lane_token_path(self) -> Path:
        return self.lane_token_file or self.home / LANE_TOKEN_FILE

    @field_validator("postgres_url")
    @classmethod
    def _postgres_is_there_if_needed(cls, url: SecretStr | None) -> SecretStr | None:
        if url is None and cls.needs_postgres:
            raise ValueError("is needed: start the local stack first, or set it to a PostgreSQL of your own")
        return url

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        own_variables = EnvSettingsSource(settings_cls, env_prefix=f"{PREFIX}{cls.section.upper()}_")
        from_file = InitSettingsSource(settings_cls, init_kwargs=_from_file(cls))
        return init_settings, own_variables, env_settings, from_file


def load(settings_class: type[S]) -> S:
    """Return the settings of this process. Raises BadSettings, which names every bad field and its variable."""
    try:
        return settings_class()
    except ValidationError as error:
        problems = [_problem(settings_class, detail) for detail in error.errors(include_input=False)]
        raise BadSettings("\n".join(["bad settings:", *filter(None, problems)])) from error
    except SettingsError as error:
        raise BadSettings(f"bad settings:\n  {error} (lists and tables are written as JSON)") from error


def load_or_exit(settings_class: type[S]) -> S:
    """`load` for `__main__`: print what is bad and exit with status 2."""
    try:
        return load(settings_class)
    except BadSettings as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(EXIT_BAD_SETTINGS) from None


def variable(settings_class: type[ServiceSettings], field: str) -> str:
    """Return the environment variable that sets `field`."""
    is_common = field in ServiceSettings.model_fields and field != "port"
    return f"{PREFIX}{field.upper()}" if is_common else f"{PREFIX}{settings_class.section.upper()}_{field.upper()}"


def _problem(settings_class: type[ServiceSettings], detail: ErrorDetails) -> str | None:
    if detail["type"] == "default_factory_not_called":
        return None  # a consequence of another field that is listed itself
    field = str(detail["loc"][0]) if detail["loc"] else "settings"
    if detail["type"] == "extra_forbidden":
        return f"  {field}: is no setting of {settings_class.section}; a service's own belong in its table"
    words = detail["msg"].removeprefix("Value error, ")
    return f"  {field} ({variable(settings_class, field)}): {words}"


def file_table(section: str) -> dict[str, Any]:
    """Return the table of `section` in the file, for a program that needs another service's settings. Raises
    BadSettings."""
    return _table(_file_content(), section)


def in_file(settings_class: type[ServiceSettings], field: str) -> bool:
    """Return whether the file gives the field a value. Raises BadSettings."""
    return field in _from_file(settings_class)


def _from_file(settings_class: type[ServiceSettings]) -> dict[str, Any]:
    content = _file_content()
    shared = {key: value for key, value in content.items() if not _is_section(settings_class, key, value)}
    return shared | _table(content, settings_class.section)


def _file_content() -> dict[str, Any]:
    name = os.environ.get(CONFIG_VARIABLE)
    if not name:
        return {}
    try:
        content = tomllib.loads(Path(name).read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadSettings(f"bad settings:\n  {CONFIG_VARIABLE}: {name} cannot be read: {error}") from error
    return content


def _table(content: dict[str, Any], section: str) -> dict[str, Any]:
    table = content.get(section, {})
    if not isinstance(table, dict):
        raise BadSettings(f"bad settings:\n  {section}: must be a table in {os.environ[CONFIG_VARIABLE]}")
    return table


def _is_section(settings_class: type[ServiceSettings], key: str, value: object) -> bool:
    return isinstance(value, dict) and key not in settings_class.model_fields


def _embedded_postgres_url(home: Path) -> SecretStr | None:
    return _secret(home / POSTGRES_URL_FILE)


def postgres_url_of(section: str) -> Any:  # noqa: ANN401 - what pydantic's Field itself returns
    """Return the field `postgres_url` of a service that has its own role in the embedded server; the default is its URL
    there."""
    own = Path("secrets") / f"postgres-{section}-url"
    return Field(
        default_factory=lambda data: _secret(data["home"] / own) or _embedded_postgres_url(data["home"]),
        validate_default=True,
        description="The read model; by default the embedded server, in a role of the service's own.",
    )


def _secret(path: Path) -> SecretStr | None:
    return SecretStr(path.read_text().strip()) if path.is_file() else None
