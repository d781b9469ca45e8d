"""Renders templates as pages. Everything is escaped; in texts of others control characters are also made visible."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from functools import lru_cache
from importlib.resources import files
from urllib.parse import urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from vbatch.console.adapters.http.markdown import markdown_html
from vbatch.console.core import admin_forms, judging, quality_view, selection, voting, wording
from vbatch.console.core.admin_snippets import route_snippets
from vbatch.console.core.bars import progress_of
from vbatch.console.core.comparing import share_words
from vbatch.console.core.views import series_sentence
from vbatch.contracts.event_text import amount, size

PACKAGE = "vbatch.console.adapters"


def environment() -> Environment:
    made = Environment(
        loader=PackageLoader(PACKAGE, "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(_filters())
    made.globals.update(_names())
    return made


def _filters() -> dict[str, Callable[..., object]]:
    """Return the filters that templates apply to a value: `value | name`."""
    return {
        "amount": amount,
        "clock": clock,
        "markdown": markdown_html,
        "moment": moment,
        "number": wording.number,
        "shown": wording.shown_text,
        "size": size,
        "span": wording.span,
        "compact_json": compact_json,
    }


def _names() -> dict[str, object]:
    """Return the names that every template can use."""
    return {
        "asset": asset,
        "batch_state": wording.batch_state,
        "ends": wording.ends,
        "ends_range": wording.ends_range,
        "link": link,
        "judging": judging,
        "percent": wording.percent,
        "progress_of": progress_of,
        "quality": quality_view,
        "route_snippets": route_snippets,
        "admin_forms": admin_forms,
        "runner_state": wording.runner_state,
        "runner_states": wording.RUNNER_STATES,
        "selection": selection,
        "series_sentence": series_sentence,
        "share_words": share_words,
        "service_states": wording.SERVICE_STATES,
        "unknown_state": wording.UNKNOWN,
        "voting": voting,
        "window_warning": wording.window_warning,
    }


def clock(at: float) -> Markup:
    """Return a time of day, which the browser shows in its own zone."""
    return Markup('<time datetime="{}" data-time="clock">{}</time>').format(wording.iso(at), wording.utc_clock(at))


def moment(at: float) -> Markup:
    """Return a date and a time."""
    return Markup('<time datetime="{}" data-time="moment">{}</time>').format(wording.iso(at), wording.utc_moment(at))


def compact_json(value: object) -> str:
    """Return JSON for an attribute that a script reads; the template escapes it."""
    return json.dumps(value, separators=(",", ":"))


def link(path: str, query: Mapping[str, str], **changes: str | None) -> str:
    """Return a path with a query, with some fields changed; a field that is None is removed."""
    merged = {name: value for name, value in (dict(query) | changes).items() if value}
    return f"{path}?{urlencode(merged)}" if merged else path


@lru_cache(maxsize=64)
def asset(name: str) -> str:
    """Return the address of a static file, which changes with its content, so browsers keep the file permanently."""
    content = (files(PACKAGE) / "static" / name).read_bytes()
    return f"/static/{name}?v={hashlib.sha256(content).hexdigest()[:12]}"
