"""Reading plain values out of an ask: what is a whole number, a string of a closed list, an expiry rule."""

from __future__ import annotations

from collections.abc import Mapping

from vbatch.gateway.core.refusals import Reason, Refusal, parameter_missing, parameter_unknown, type_invalid

EXPIRY_ANCHOR = "created_at"
EXPIRY_SECONDS_MIN = 3_600
EXPIRY_SECONDS_MAX = 2_592_000


def integer_between(value: int, name: str, least: int, most: int) -> int:
    """`value`, if it is within both bounds."""
    if value < least:
        words = f"integer below minimum value. Expected a value >= {least}, but got {value} instead."
        raise Refusal(Reason.INTEGER_TOO_SMALL, f"Invalid '{name}': {words}", name)
    if value > most:
        words = f"integer above maximum value. Expected a value <= {most}, but got {value} instead."
        raise Refusal(Reason.INTEGER_TOO_LARGE, f"Invalid '{name}': {words}", name)
    return value


def integer_of_text(text: str, name: str) -> int:
    """A whole number from a query or a form field; at most 18 digits, so it fits every column."""
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 18):
        raise type_invalid(name, "an integer", text)
    return int(text)


def expiry_seconds(rule: object, name: str) -> int | None:
    """`{"anchor": "created_at", "seconds": n}` → n. `name` is how the client calls the rule."""
    if rule is None:
        return None
    if not isinstance(rule, dict):
        raise type_invalid(name, "an object", rule)
    for key in rule:
        if key not in ("anchor", "seconds"):
            raise parameter_unknown(f"{name}.{key}")
    return checked_expiry(rule, f"{name}.anchor", f"{name}.seconds")


def checked_expiry(rule: Mapping[str, object], anchor_name: str, seconds_name: str) -> int:
    """The seconds of a rule whose keys are `anchor` and `seconds`."""
    for key, name in (("anchor", anchor_name), ("seconds", seconds_name)):
        if key not in rule:
            raise parameter_missing(name)
    if rule["anchor"] != EXPIRY_ANCHOR:
        words = f"Invalid value: '{rule['anchor']}'. Value must be '{EXPIRY_ANCHOR}'."
        raise Refusal(Reason.VALUE_INVALID, words, anchor_name)
    seconds = rule["seconds"]
    if isinstance(seconds, bool) or not isinstance(seconds, int):
        raise type_invalid(seconds_name, "an integer", seconds)
    return integer_between(seconds, seconds_name, EXPIRY_SECONDS_MIN, EXPIRY_SECONDS_MAX)
