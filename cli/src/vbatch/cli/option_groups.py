"""Options that commands share, declared once: a parameter of a command may be a data class of options."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import wraps
from inspect import Parameter, Signature, signature
from typing import get_type_hints

from vbatch.cli.exits import ending


def command(body: Callable[..., None]) -> Callable[..., None]:
    """Return the command that Typer sees, with the fields of each data class in its place. It ends as `exits`
    describes."""
    hints = get_type_hints(body, include_extras=True)
    groups = {name: hint for name, hint in hints.items() if isinstance(hint, type) and is_dataclass(hint)}

    @wraps(body)
    def called(**given: object) -> None:
        for name, group in groups.items():
            given[name] = group(**{field.name: given.pop(field.name) for field in fields(group)})
        with ending():
            body(**given)

    parameters = [each for parameter in signature(body).parameters.values() for each in _flat(parameter, hints)]
    vars(called)["__signature__"] = Signature(parameters)
    called.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return called


def _flat(parameter: Parameter, hints: Mapping[str, type]) -> Iterator[Parameter]:
    hint = hints[parameter.name]
    if not is_dataclass(hint):
        yield parameter.replace(annotation=hint, kind=Parameter.KEYWORD_ONLY)
        return
    options = get_type_hints(hint, include_extras=True)
    for field in fields(hint):
        yield Parameter(field.name, Parameter.KEYWORD_ONLY, default=field.default, annotation=options[field.name])
