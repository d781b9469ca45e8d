"""Parses simple values of a request: a whole number, a string from a fixed list, an expiry rule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from vbatch.contracts.json_faults import json_fault
from vbatch.gateway.core.refusals import Reason, Refusal, parameter_missing, parameter_unknown, type_invalid

EXPIRY_ANCHOR = "created_at"
EXPIRY_SECONDS_MIN = 3_600
EXPIRY_SECONDS_MAX = 2_592_000
LOOKED_FOR_CHARS_MAX = 256
DIGITS_MAX = 1_000
"""The most digits of a number in a query or a form: enough to report it as too large, few enough to parse at once."""


def json_object(raw: bytes, *, required: Sequence[str], optional: Sequence[str]) -> dict[str, object]:
    """Parse a JSON body with these keys; `required` ones are not null. Raises Refusal for a missing or unknown key."""
    body = _parsed_object(raw)
    for name in required:
        if body.get(name) is None:
            raise parameter_missing(name)
    for name in body:
        if name not in required and name not in optional:
            raise parameter_unknown(name)
    return body


def _parsed_object(raw: bytes) -> dict[str, object]:
    try:
        body = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        message = f"We could not parse the JSON body of your request. {json_fault(raw, error)}"
        raise Refusal(Reason.BODY_UNREADABLE, message) from error
    if not isinstance(body, dict):
        raise Refusal(Reason.BODY_UNREADABLE, "The body of your request must be a JSON object.")
    return body


def string(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise type_invalid(name, "a string", value)
    return value


def integer(value: object, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise type_invalid(name, "an integer", value)
    return value


def bounded_string(text: str, name: str, chars_max: int) -> str:
    if len(text) > chars_max:
        words = f"Expected a string with maximum length {chars_max}, but got {len(text)} characters instead."
        raise Refusal(Reason.STRING_TOO_LONG, f"Invalid '{name}': string too long. {words}", name)
    return text


def looked_for(query: Mapping[str, str], name: str) -> str | None:
    """Return a short text of a query that is looked for in the read model, which stores no NUL. Raises Refusal."""
    text = query.get(name)
    return bounded_string(text, name, LOOKED_FOR_CHARS_MAX).replace("\0", "") if text else None


def integer_between(value: int, name: str, least: int, most: int) -> int:
    """Return `value` if it is within both bounds. Raises Refusal."""
    if value < least:
        words = f"integer below minimum value. Expected a value >= {least}, but got {value} instead."
        raise Refusal(Reason.INTEGER_TOO_SMALL, f"Invalid '{name}': {words}", name)
    if value > most:
        words = f"integer above maximum value. Expected a value <= {most}, but got {value} instead."
        raise Refusal(Reason.INTEGER_TOO_LARGE, f"Invalid '{name}': {words}", name)
    return value


def integer_of_text(text: str, name: str) -> int:
    """Parse a whole number of any size from a query or a form field; the caller checks its bounds."""
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= DIGITS_MAX):
        raise type_invalid(name, "an integer", text)
    return int(text)


def expiry_seconds(rule: object, name: str) -> int | None:
    """Parse `{"anchor": "created_at", "seconds": n}` to n. `name` is the client's name of the rule."""
    if rule is None:
        return None
    if not isinstance(rule, dict):
        raise type_invalid(name, "an object", rule)
    for key in rule:
        if key not in ("anchor", "seconds"):
            raise parameter_unknown(f"{name}.{key}")
    return checked_expiry(rule, f"{name}.anchor", f"{name}.seconds")


def checked_expiry(rule: Mapping[str, object], anchor_name: str, seconds_name: str) -> int:
    """Return the seconds of a rule with the keys `anchor` and `seconds`."""
    for key, name in (("anchor", anchor_name), ("seconds", seconds_name)):
        if key not in rule:
            raise parameter_missing(name)
    anchor = string(rule["anchor"], anchor_name)
    if anchor != EXPIRY_ANCHOR:
        words = f"Invalid value: '{anchor}'. Value must be '{EXPIRY_ANCHOR}'."
        raise Refusal(Reason.VALUE_INVALID, words, anchor_name)
    seconds = integer(rule["seconds"], seconds_name)
    return integer_between(seconds, seconds_name, EXPIRY_SECONDS_MIN, EXPIRY_SECONDS_MAX)
