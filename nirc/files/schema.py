"""JSON schemas and tables for people, made from the descriptions of files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from nirc.files.description import File
from nirc.files.kinds import (
    Array,
    Choice,
    Const,
    Flag,
    Integer,
    Integers,
    Kind,
    Many,
    Map,
    Maybe,
    Number,
    Object,
    Size,
    Switch,
    Text,
)
from nirc.files.runs import Runs

Schema = dict[str, Any]
PRINTABLE = r"^[^\x00-\x1f\x7f]*$"


def json_schema(*files: File) -> Schema:
    """Return the JSON schema of a file. Several ``files`` describe the variants of a chip.

    A schema cannot compare fields. Arrays are in the archive and not in its JSON, so the schema has
    their names only.
    """
    variants = [_schema(file.root) for file in files]
    kinds = variants[0] if len(variants) == 1 else {"oneOf": variants}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": files[0].name,
        **kinds,
    }


def _schema(kind: Kind) -> Schema:
    schema = _plain_schema(kind)
    return {"description": kind.doc, **schema} if kind.doc else schema


def _plain_schema(kind: Kind) -> Schema:
    match kind:
        case Integer():
            allowed: Schema = {"enum": list(kind.only)} if kind.only else {}
            return {"type": "integer", "minimum": kind.low, "maximum": kind.high, **allowed}
        case Number():
            return {"type": "number", "minimum": kind.low, "maximum": kind.high}
        case Flag():
            return {"type": "boolean"}
        case Text():
            return {
                "type": "string",
                "minLength": kind.least,
                "maxLength": kind.most,
                "pattern": PRINTABLE,
            }
        case Choice():
            return {"enum": list(kind.words)}
        case Const():
            return {"const": kind.value}
        case Maybe():
            return {"anyOf": [{"type": "null"}, _schema(kind.kind)]}
        case Many():
            return _list(kind.size, _schema(kind.item))
        case Integers():
            return _nested(kind)
        case Runs():
            return _runs(kind)
        case Object():
            return _object(kind)
        case Map():
            return {"type": "object", "additionalProperties": _schema(kind.item)}
        case Switch():
            return {"oneOf": [_schema(inner) for inner in _cases(kind)]}
    raise TypeError(f"{type(kind).__name__} has no JSON schema")


def _cases(kind: Switch) -> list[Kind]:
    """Return the kinds of all cases, with the default last."""
    default = [kind.default] if kind.default else []
    return [inner for _, inner in kind.cases] + default


def _list(size: int | str | Size, items: Schema) -> Schema:
    span: Schema = {}
    if isinstance(size, int):
        span = {"minItems": size, "maxItems": size}
    elif isinstance(size, Size):
        span = {"minItems": size.least, "maxItems": size.most}
    return {"type": "array", **span, "items": items}


def _nested(kind: Integers) -> Schema:
    schema: Schema = {"type": "integer", "minimum": kind.low, "maximum": kind.high}
    for size in reversed(kind.shape):
        schema = _list(size, schema)
    return schema


def _runs(kind: Runs) -> Schema:
    """Return the schema of a list that may hold runs."""
    full = _schema(kind.kind)
    count, step = {"type": "integer", "minimum": 1}, {"type": "integer"}
    run = {"type": "array", "prefixItems": [full["items"], count, step], "items": False}
    return {**full, "items": {"anyOf": [full["items"], {**run, "minItems": 3}]}}


def _object(kind: Object) -> Schema:
    arrays = [name for name, inner in kind.fields.items() if isinstance(inner, Array)]
    properties = {name: _schema(inner) for name, inner in kind.fields.items() if name not in arrays}
    if arrays:
        needed = [name for name in arrays if name not in kind.optional]
        every = {"allOf": [{"contains": {"const": name}} for name in needed]} if needed else {}
        properties["arrays"] = {
            "type": "array",
            "items": {"enum": arrays},
            "uniqueItems": True,
            **every,
        }
    required = sorted(name for name in properties if name not in kind.optional)
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": kind.open,
    }


# Tables.


def rows(kind: Kind, path: str = "") -> Iterator[tuple[str, str, str]]:
    """Yield path, allowed values and meaning of each field that holds a value."""
    match kind:
        case Object():
            if list(kind.fields) == ["x", "y"] and kind.fields["x"] == kind.fields["y"]:
                yield f"{path}.x, .y", allowed(kind.fields["x"]), kind.doc or kind.fields["x"].doc
                return
            for name, inner in kind.fields.items():
                yield from rows(inner, f"{path}.{name}" if path else name)
        case Const(value=dict() as fields):
            yield from rows(Object({name: Const(inner) for name, inner in fields.items()}), path)
        case Const(value=[dict() as first, *_]):
            yield from rows(Const(first), f"{path}[]")
        case Many():
            yield from rows(kind.item, f"{path}[]")
        case Runs():
            for inner_path, value, meaning in rows(kind.kind, path):
                yield inner_path, f"{value}, in runs", meaning
        case Map():
            yield from rows(kind.item, f"{path}.NAME" if path else "NAME")
        case Switch():
            for inner in _cases(kind):
                yield from rows(inner, path)
        case Maybe(kind=Object() as inner):
            yield path, "null, or as follows", kind.doc
            yield from rows(inner, path)
        case _:
            yield path, allowed(kind), kind.doc


def allowed(kind: Kind) -> str:
    """Return the allowed values as a short text."""
    match kind:
        case Integer():
            return ", ".join(map(str, kind.only)) if kind.only else f"{kind.low}..{kind.high}"
        case Number():
            return f"{kind.low:g}..{kind.high:g}, also fractions"
        case Flag():
            return "true or false"
        case Text():
            return "text"
        case Choice():
            return ", ".join(f"`{word}`" for word in kind.words)
        case Const():
            value = kind.value if isinstance(kind.value, str) else json.dumps(kind.value)
            return f"`{value}`"
        case Maybe():
            return f"null, or {allowed(kind.kind)}"
        case Integers():
            return f"[{']['.join(map(_length, kind.shape))}] of {kind.low}..{kind.high}"
        case Array():
            span = "" if kind.points else f", {kind.low:.9g}..{kind.high:.9g}"
            return f"({', '.join(map(_length, kind.shape))}) {np.dtype(kind.dtype).name}{span}"
    return type(kind).__name__.lower()


def _length(size: int | str | Size) -> str:
    """Return the length of an axis."""
    return size.name if isinstance(size, Size) else str(size)
