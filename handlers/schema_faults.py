"""Where a document breaks its JSON schema, told by the innermost fault: of several forms, of the one that is meant."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from handlers.command import Fault

_LONGEST: Final = 300
"""Characters of what is wrong."""
_SHOWN: Final = 60
"""Characters of a value that would hide the rule."""
_RULES: Final = {
    "maxItems": "must have at most {} items, not {}",
    "minItems": "must have at least {} items, not {}",
    "maxLength": "must have at most {} characters, not {}",
    "minLength": "must have at least {} characters, not {}",
    "maxProperties": "must have at most {} members, not {}",
    "minProperties": "must have at least {} members, not {}",
}
"""Of limits of which jsonschema gives the value, but not the limit."""


def faults_of(error: Any) -> Iterator[Fault]:
    """`error` is a ValidationError of jsonschema; the form that is meant is the one with this type and this tag."""
    forms: dict[int, list[Any]] = {}
    for inner in error.context or ():
        forms.setdefault(inner.relative_schema_path[0], []).append(inner)
    tag = _tag_of(error.schema)
    meant = [inner for inner in forms.values() if not any(_is_of_another_form(each, tag) for each in inner)]
    if meant:
        for inner in meant[0]:
            yield from faults_of(inner)
    else:
        where = "/data" + "".join(f"/{part}" for part in error.absolute_path)
        yield Fault(where, _choices(forms.values()) or _words(error))


def _words(error: Any) -> str:
    """The rule first, and no more of a long value than shows what is meant."""
    value = error.instance
    if error.validator in _RULES and value:
        return _RULES[error.validator].format(error.validator_value, len(value))
    if error.validator == "not" and isinstance(error.schema.get("description"), str):
        return f"{value!r:.{_SHOWN}}: {error.schema['description']}"[:_LONGEST]
    text, shown = str(error.message), repr(value)
    if len(text) > _LONGEST and text.startswith(shown):
        text = f"{text[len(shown) :].strip()} (given: {shown[:_SHOWN]}…)"
    return text[:_LONGEST]


def _tag_of(schema: Any) -> str:
    """The member by which forms are told apart."""
    return schema.get("discriminator", {}).get("propertyName", "kind") if isinstance(schema, dict) else "kind"  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]


def _is_of_another_form(error: Any, tag: str) -> bool:
    path = list(error.relative_path)
    return (not path and error.validator in ("type", "const", "enum")) or path == [tag] or _lacks(error, tag)


def _lacks(error: Any, tag: str) -> bool:
    return error.validator == "required" and not list(error.relative_path) and f"'{tag}'" in error.message


def _choices(forms: Any) -> str:
    """What it could have been, where it is none of it."""
    named = [value for form in forms for each in form if each.validator == "enum" for value in each.validator_value]
    return f"must be one of {', '.join(sorted({str(value) for value in named}))}" if named else ""
