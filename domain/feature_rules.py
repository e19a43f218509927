"""Which values of a feature are right."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from msgspec import Meta, Struct, structs

from domain import text_pattern

DataType = Literal["number", "integer", "boolean", "category"]
Text = Annotated[str, Meta(max_length=text_pattern.LONGEST)]
Value = bool | float | Text | None
"""None is a missing one."""

_EXACT: Final = 2.0**53
"""Beyond it a number cannot tell an integer from its neighbour."""


class ValidationRules(Struct, frozen=True, forbid_unknown_fields=True):
    """`minimum` and `maximum` are of numbers and integers, `pattern` (`domain.text_pattern`) and `max_length` of
    categories. Without `allowed` every value is."""

    not_null: bool = False
    minimum: float | None = None
    maximum: float | None = None
    allowed: Annotated[tuple[bool | float | Text, ...], Meta(max_length=1_000)] = ()
    pattern: Annotated[str, Meta(max_length=200)] | None = None
    max_length: Annotated[int, Meta(ge=0, le=text_pattern.LONGEST)] | None = None


def rule_faults(rules: ValidationRules, data_type: DataType) -> list[str]:
    """Why no value could be held to these rules, or none at all be right."""
    faults: list[str] = []
    if data_type not in ("number", "integer"):
        faults += [f"{name} is of numbers" for name in ("minimum", "maximum") if getattr(rules, name) is not None]
    if data_type != "category":
        faults += [f"{name} is of categories" for name in ("pattern", "max_length") if getattr(rules, name) is not None]
    if rules.minimum is not None and rules.maximum is not None and rules.minimum > rules.maximum:
        faults.append("the minimum is above the maximum")
    if rules.pattern is not None:
        try:
            text_pattern.parts_of(rules.pattern)
        except ValueError as error:
            faults.append(f"pattern: {error}")
    if faults:
        return faults
    others = structs.replace(rules, allowed=())
    return [
        f"allowed value {each!r} {fault}" for each in rules.allowed for fault in value_faults(each, data_type, others)
    ]


def value_faults(value: Value, data_type: DataType, rules: ValidationRules) -> list[str]:
    """All that is wrong with a value, each fault as the end of a sentence."""
    if value is None:
        return ["must not be missing"] if rules.not_null else []
    if not _is(value, data_type):
        return [f"is no {data_type}"]
    faults: list[str] = []
    if rules.allowed and value not in rules.allowed:
        faults.append("is none of those allowed")
    match value:
        case bool():
            pass
        case float() | int():
            if rules.minimum is not None and value < rules.minimum:
                faults.append(f"is below {rules.minimum:g}")
            if rules.maximum is not None and value > rules.maximum:
                faults.append(f"is above {rules.maximum:g}")
        case str():
            if rules.max_length is not None and len(value) > rules.max_length:
                faults.append(f"is longer than {rules.max_length} characters")
            if rules.pattern is not None and not text_pattern.matches(text_pattern.parts_of(rules.pattern), value):
                faults.append(f"does not match {rules.pattern!r}")
    return faults


def _is(value: bool | float | str, data_type: DataType) -> bool:
    match value:
        case bool():
            return data_type == "boolean"
        case float() | int():
            return data_type == "number" or (
                data_type == "integer" and abs(value) < _EXACT and float(value).is_integer()
            )
        case str():
            return data_type == "category"
