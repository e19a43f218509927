"""Where a document breaks its JSON schema, told by the innermost fault: of several forms, of the one that is meant."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from handlers.command import Fault


def faults_of(error: Any) -> Iterator[Fault]:
    """`error` is a ValidationError of jsonschema; the form that is meant is the one with this type and this tag."""
    forms: dict[int, list[Any]] = {}
    for inner in error.context or ():
        forms.setdefault(inner.relative_schema_path[0], []).append(inner)
    meant = [inner for inner in forms.values() if not any(_is_of_another_form(each) for each in inner)]
    if meant:
        for inner in meant[0]:
            yield from faults_of(inner)
    else:
        where = "/data" + "".join(f"/{part}" for part in error.absolute_path)
        yield Fault(where, _choices(forms.values()) or str(error.message)[:300])


def _is_of_another_form(error: Any) -> bool:
    path = list(error.relative_path)
    return (not path and error.validator in ("type", "const", "enum")) or path == ["kind"] or _lacks_kind(error)


def _lacks_kind(error: Any) -> bool:
    return error.validator == "required" and not list(error.relative_path) and "'kind'" in error.message


def _choices(forms: Any) -> str:
    """What it could have been, where it is none of it."""
    named = [value for form in forms for each in form if each.validator == "enum" for value in each.validator_value]
    return f"must be one of {', '.join(sorted({str(value) for value in named}))}" if named else ""
