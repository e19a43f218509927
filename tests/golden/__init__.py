"""Golden files: one stored document of every event type in every schema version that was ever written.

`python -m tests.golden` writes those that are missing for today's versions, and never touches one that is there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from msgspec import inspect

from eventstore.catalogue import Catalogue
from eventstore.envelope import Envelope, encode

HOME = Path(__file__).parent

_TEXTS = ("text", "/text", "TEXT", "1", "http://127.0.0.1:8000/text", "text.1", "a" * 64, "en", "DE", "EUR")


def golden_file(type: str, version: int) -> Path:
    return HOME / type / f"{version}.json"


def missing_files(catalogue: Catalogue) -> Iterator[Path]:
    for type in catalogue.types():
        for version in range(1, catalogue.schema_version(type) + 1):
            if not golden_file(type, version).exists():
                yield golden_file(type, version)


def write_missing(catalogue: Catalogue) -> list[Path]:
    """Only of today's schema versions: what older ones looked like, only files written in their time can tell."""
    written: list[Path] = []
    for type, struct in sorted(catalogue.types().items()):
        path = golden_file(type, catalogue.schema_version(type))
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            document = msgspec.json.format(encode(_example(type, struct, catalogue.schema_version(type))), indent=2)
            path.write_bytes(document + b"\n")
            written.append(path)
    return written


def _example(type: str, struct: type[msgspec.Struct], version: int) -> Envelope:
    category = type.partition(".")[0]
    return Envelope(
        specversion="1.0",
        id="01980000-0000-7000-8000-000000000000",
        source="/sagacity",
        type=type,
        time=datetime(2026, 11, 21, 12, 0, tzinfo=UTC),
        datacontenttype="application/json",
        stream=f"{category}/example",
        streamversion=1,
        correlationid="example",
        actor="example",
        schemaversion=version,
        data=msgspec.Raw(msgspec.json.encode(_sample(inspect.type_info(struct)))),
    )


def _sample(kind: inspect.Type) -> Any:
    """A value of this type with every field, every collection and every optional part filled."""
    match kind:
        case inspect.StructType(tag_field=tag_field, tag=tag, fields=fields):
            named = {field.encode_name: _sample(field.type) for field in fields}
            return named if tag_field is None else {tag_field: tag, **named}
        case inspect.UnionType(types=types):
            return _sample(next(each for each in types if not isinstance(each, inspect.NoneType)))
        case inspect.DictType(key_type=key, value_type=value):
            return {_sample(key): _sample(value)}
        case inspect.ListType(item_type=item) | inspect.SetType(item_type=item):
            return [_sample(item)]
        case inspect.VarTupleType(item_type=item, min_length=least):
            return [_sample(item)] * max(1, least or 1)
        case inspect.FrozenSetType(item_type=item):
            return [_sample(item)]
        case inspect.TupleType(item_types=items):
            return [_sample(item) for item in items]
        case inspect.LiteralType(values=values):
            return values[0]
        case inspect.EnumType(cls=cls):
            return next(iter(cls)).value
        case _:
            return _plain(kind)


def _plain(kind: inspect.Type) -> Any:
    match kind:
        case inspect.StrType(pattern=pattern):
            return next(text for text in _TEXTS if pattern is None or re.search(pattern, text))
        case inspect.BoolType():
            return True
        case inspect.IntType(ge=least):
            return max(1, least or 1)
        case inspect.FloatType(ge=least, le=most):
            numbers = (1.5, 0.5) if least is None else (1.5, 0.5, least)
            return next(each for each in numbers if (least or each) <= each <= (most or each))
        case inspect.DateTimeType():
            return "2026-11-21T12:00:00Z"
        case inspect.TimeDeltaType():
            return "PT90S"
        case inspect.RawType() | inspect.AnyType():
            return {"any": "thing"}
        case inspect.BytesType():
            return "dGV4dA=="
        case inspect.UUIDType():
            return "01980000-0000-7000-8000-000000000000"
        case inspect.DecimalType():
            return "1.5"
        case inspect.DateType():
            return "2026-11-21"
        case _:
            raise NotImplementedError(f"no sample for {kind}")
