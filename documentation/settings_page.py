"""docs/configuration.md: every setting of every service, from the pydantic models that read them."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Literal, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from documentation.markdown import GENERATED, table
from vbatch.chassis.settings import GIB, MIB, ServiceSettings, variable
from vbatch.console.settings import ConsoleSettings
from vbatch.gateway.settings import GatewaySettings
from vbatch.gpu_runner.settings import RunnerSettings
from vbatch.labeler.settings import LabelerSettings
from vbatch.local.settings import LocalSettings
from vbatch.notifier.settings import NotifierSettings
from vbatch.results.settings import ResultsSettings
from vbatch.scheduler.settings import SchedulerSettings

SERVICES: tuple[type[ServiceSettings], ...] = (
    GatewaySettings,
    SchedulerSettings,
    RunnerSettings,
    ResultsSettings,
    NotifierSettings,
    LabelerSettings,
    ConsoleSettings,
    LocalSettings,
)
ABOUT = {
    "gateway": "The HTTP API.",
    "scheduler": "Which request runs next.",
    "gpu_runner": "One device and its engines. A second runner has settings of its own.",
    "results": "The read model and the sealed files.",
    "notifier": "The notifier sends webhooks.",
    "labeler": "The labeler hands answers to Label Studio and brings judgements back.",
    "console": "The console shows the server in a browser.",
    "local": "`vbatch up`, which starts NATS, PostgreSQL and the services on one machine.",
}
DERIVED_DEFAULTS: Mapping[str, str] = {
    "gateway_tls_certificate_file": "the gateway's own",
    "console_tls_certificate_file": "the console's own",
    "postgres_url": "the embedded server of `home`",
    "blob_url": "`file://HOME/blobs`",
    "gateway_port": "`port` of `[gateway]`, or `4080`",
    "scheduler_port": "`port` of `[scheduler]`, or `4083`",
    "gpu_runner_port": "`port` of `[gpu_runner]`, or `4084`",
    "results_port": "`port` of `[results]`, or `4085`",
    "notifier_port": "`port` of `[notifier]`, or `4086`",
    "labeler_port": "`port` of `[labeler]`, or `4087`",
    "console_port": "`port` of `[console]`, or `4081`",
    "monitoring": "as the stack was last started",
    "labeling": "as the stack was last started",
}
"""Defaults that are computed when a service starts."""
BOUND_SIGNS: Mapping[type, str] = {Ge: "≥", Gt: ">", Le: "≤", Lt: "<"}
TYPE_NAMES: Mapping[object, str] = {
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "text",
    Path: "path",
    SecretStr: "text (secret)",
    types.NoneType: "none",
    list[str]: "list of texts",
}
INTRODUCTION = """# Configuration

Every setting has a default, so the server runs without any configuration. A service reads a setting from the first of
these places that has it:

1. its own environment variable, such as `VBATCH_GATEWAY_LOG_LEVEL`;
2. the common environment variable, such as `VBATCH_LOG_LEVEL`;
3. the service's table in the settings file, such as `[gateway]`;
4. the top of the settings file;
5. the default.

The settings file is TOML. The environment variable `VBATCH_CONFIG` names it:

```toml
# Every service reads the top of the file.
home = "/srv/vbatch"
log_level = "warning"

# Only the gateway reads its table.
[gateway]
port = 8080
creates_per_minute_max = 60

[scheduler]
lines_max = 1_000_000
```

A setting that cannot be used stops the service at its start with exit code 2, and the message names each bad setting
with its variable. A misspelt key in the file is such a fault. A service reads its settings once: restart it
(`vbatch down`, then `vbatch up`) after a change. Lists and tables in an environment variable are written as JSON.

A few variables are not settings of a service:

| variable | meaning |
| --- | --- |
| `VBATCH_CONFIG` | The path of the settings file. |
| `VBATCH_URL` | The server that the `vbatch` command speaks to; by default the one on this machine. |
| `VBATCH_API_KEY` | The API key that the `vbatch` command sends. |
| `HF_TOKEN` | A Hugging Face token; vLLM needs it to fetch gated models. |

`models.toml` is described in [Quick start on a GPU](quickstart-gpu.md#modelstoml-field-by-field).
"""


def configuration_page() -> str:
    common = _section("Common to every service", "", ServiceSettings, _common_fields())
    own = [_section(_title(each), ABOUT[each.section], each, _own_fields(each)) for each in SERVICES]
    source = GENERATED.format(source="the settings of each service")
    return "\n".join([INTRODUCTION, source, common, *own])


def _common_fields() -> Mapping[str, FieldInfo]:
    return {name: field for name, field in ServiceSettings.model_fields.items() if name != "port"}


def _own_fields(service: type[ServiceSettings]) -> Mapping[str, FieldInfo]:
    """The fields that a service adds, and its port, which has another default in each."""
    fields = service.model_fields
    is_own = {
        name: name not in ServiceSettings.model_fields or (name == "port" and fields[name].default) for name in fields
    }
    return {name: fields[name] for name in fields if is_own[name]}


def _title(service: type[ServiceSettings]) -> str:
    return f"Table `[{service.section}]`"


def _section(title: str, about: str, service: type[ServiceSettings], fields: Mapping[str, FieldInfo]) -> str:
    headings = ("variable", "file key", "type", "default", "meaning")
    rows = [_row(service, name, field) for name, field in sorted(fields.items())]
    return "\n".join(filter(None, [f"## {title}\n", about and f"{about}\n", table(headings, rows)]))


def _row(service: type[ServiceSettings], name: str, field: FieldInfo) -> tuple[str, ...]:
    return (
        f"`{variable(service, name)}`",
        f"`{name}`",
        type_text(field),
        default_text(name, field),
        field.description or "",
    )


def type_text(field: FieldInfo) -> str:
    """The type with its bounds, such as `integer, ≥ 1, ≤ 5`."""
    bounds = [f"{sign} {_number(_limit(found))}" for found in field.metadata if (sign := BOUND_SIGNS.get(type(found)))]
    patterns = [f"matches `{found.pattern}`" for found in field.metadata if getattr(found, "pattern", None)]
    return ", ".join([_type_name(field.annotation), *bounds, *patterns])


def default_text(name: str, field: FieldInfo) -> str:
    """The default as one would write it. Raises KeyError for a computed default that nobody has put into words."""
    if field.default_factory is not None:
        return DERIVED_DEFAULTS[name]
    match field.default:
        case None:
            return "not set"
        case bool() as flag:
            return f"`{str(flag).lower()}`"
        case StrEnum() as choice:
            return f"`{choice.value}`"
        case int() | float() as number:
            return f"`{number}`{_size(name, number)}"
        case other:
            return f"`{other}`"


def _limit(bound: object) -> float:
    """The number of an annotated-types bound, whichever of the four it is."""
    limit: float = next(getattr(bound, name) for name in ("ge", "gt", "le", "lt") if hasattr(bound, name))
    return limit


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


def _size(name: str, number: float) -> str:
    """A number of bytes once more, in the unit that people read."""
    if "bytes" not in name:
        return ""
    for unit, word in ((GIB, "GiB"), (MIB, "MiB")):
        if number >= unit and number % unit == 0:
            return f" ({number // unit} {word})"
    return ""


def _type_name(annotation: object) -> str:
    if get_origin(annotation) in (types.UnionType, typing.Union):
        return " or ".join(_type_name(option) for option in get_args(annotation) if option is not types.NoneType)
    if get_origin(annotation) is Literal:
        return " or ".join(f"`{choice}`" for choice in get_args(annotation))
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        return " or ".join(f"`{choice.value}`" for choice in annotation)
    return TYPE_NAMES[annotation]
