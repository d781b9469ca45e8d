"""The simplest value that a JSON schema allows, for answers that must match a schema. It is made up, like all
answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

Json = object
Schema = Mapping[str, Json]

DEPTH_MAX = 16
PLAIN: Mapping[str, Json] = {"string": "[simulated]", "integer": 0, "number": 0, "boolean": False, "null": None}


def instance_of(schema: Schema, root: Schema | None = None, depth: int = 0, *, chance: int = 0) -> Json:
    """Return an instance. It understands what clients generate from classes: types, properties, items, enums,
    constants, unions and references.

    `chance` chooses among the values of an enum.
    """
    root = root if root is not None else schema
    if depth > DEPTH_MAX:
        return None
    if "$ref" in schema:
        return instance_of(_referenced(str(schema["$ref"]), root), root, depth + 1, chance=chance)
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        values = cast(list[Json], schema["enum"])
        return values[chance % len(values)]
    for union in ("anyOf", "oneOf", "allOf"):
        if schema.get(union):
            return instance_of(cast(list[Schema], schema[union])[0], root, depth + 1, chance=chance)
    return _of_type(schema, root, depth, chance)


def _of_type(schema: Schema, root: Schema, depth: int, chance: int) -> Json:
    kind = schema.get("type", "object" if "properties" in schema else "string")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        properties = cast(Mapping[str, Schema], schema.get("properties", {}))
        return {name: instance_of(inner, root, depth + 1, chance=chance) for name, inner in properties.items()}
    if kind == "array":
        count = cast(int, schema.get("minItems", 1))
        items = cast(Schema, schema.get("items", {}))
        return [instance_of(items, root, depth + 1, chance=chance) for _ in range(count)]
    if kind in ("integer", "number"):
        return schema.get("minimum", PLAIN[kind])
    return PLAIN.get(str(kind))


def _referenced(reference: str, root: Schema) -> Schema:
    found: Json = root
    for name in reference.removeprefix("#/").split("/"):
        found = cast(Mapping[str, Json], found).get(name, {})
    return cast(Schema, found)
