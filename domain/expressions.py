"""JMESPath (https://jmespath.org/specification.html) over what a scope has to say, and texts with `${...}` in them.

A text that is nothing but one expression becomes its value; in other texts the values are written, JSON for objects,
lists, true, false and null, plain for texts and numbers. `$${` is `${` as it stands.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple, Protocol

import jmespath
from jmespath.exceptions import JMESPathError
from jmespath.functions import Functions
from jmespath.parser import ParsedResult

from domain.expression_limits import CHUNK, MOST_VALUES, Interpreter, TooLarge, size

Path = tuple[str, ...]
_PLAIN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")
_ON_THEIR_FIRST: Final = frozenset(
    {
        "subexpression",
        "index_expression",
        "projection",
        "value_projection",
        "filter_projection",
        "pipe",
        "flatten",
    }
)
"""Nodes whose other children are asked of what the first one gave."""


class Unanswerable(Exception):
    """An expression that says nothing of the values at hand."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Scope(Protocol):
    """What is known under a path of names; None where nothing is. It is asked for no more than an expression names."""

    def at(self, path: Path) -> Any: ...


class Expression(NamedTuple):
    """`path` of one that is nothing but names and dots; else `parsed`, and what it `reads` of the scope: names, and
    `steps` with one name."""

    text: str
    path: Path | None
    parsed: ParsedResult | None
    reads: tuple[Path, ...]


Part = str | Expression
"""Of a text with expressions in it."""


@lru_cache(maxsize=8_192)
def compiled(text: str) -> Expression:
    """Raises Unanswerable for what is no expression."""
    if _PLAIN.fullmatch(text):
        path = tuple(text.split("."))
        return Expression(text, path, None, (path[:2] if path[0] == "steps" else path[:1],))
    try:
        parsed = jmespath.compile(text)
    except (JMESPathError, RecursionError) as error:
        raise Unanswerable(_first_line(error) or "it is no expression") from None
    return Expression(text, None, parsed, tuple(dict.fromkeys(_reads(parsed.parsed))))


def value(expression: Expression, scope: Scope) -> Any:
    """Raises Unanswerable."""
    if expression.path is not None or expression.parsed is None:
        return scope.at(expression.path or ())
    data = _data(expression.reads, scope)
    try:
        return Interpreter().visit(expression.parsed.parsed, data)
    except (ValueError, TypeError, ArithmeticError, LookupError, AttributeError, RecursionError) as error:
        raise Unanswerable(f"{expression.text}: {_first_line(error)}") from None


def holds(found: Any) -> bool:
    """What JMESPath takes for true: everything but null, false, and what is empty; 0 too."""
    return found is not None and found is not False and found not in ("", [], {})


def walked(found: Any, path: Path) -> Any:
    """Along the names, through objects; None where there is none."""
    for name in path:
        if not isinstance(found, Mapping):
            return None
        found = found.get(name)  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
    return found  # pyright: ignore[reportUnknownVariableType]


def single(text: str) -> Expression | None:
    """The expression of a text that is nothing but one. Raises Unanswerable."""
    parts = parsed_text(text)
    return parts[0] if len(parts) == 1 and isinstance(parts[0], Expression) else None


def filled(template: Any, scope: Scope) -> Any:
    """The template with all expressions of its texts replaced. Raises Unanswerable."""
    whole = _filled(template, scope)
    if isinstance(template, (list, dict)):
        try:
            size(whole)
        except TooLarge as error:
            raise Unanswerable(str(error)) from None
    return whole


def text(template: str, scope: Scope) -> str:
    """As `filled`, always written. Raises Unanswerable."""
    return _as_text(filled(template, scope))


def faults(text: str) -> list[str]:
    """What is wrong with an expression: its form, functions that there are not, how many arguments they take."""
    try:
        expression = compiled(text)
    except Unanswerable as error:
        return [error.reason]
    if expression.parsed is None:
        return []
    whole = ["it must begin with a name"] if ("@",) in expression.reads else []
    return whole + list(_calls(expression.parsed.parsed))


def expressions(template: Any, where: str = "") -> Iterator[tuple[str, str | Expression]]:
    """All of a template by JSON pointer; a text where something is wrong with one."""
    match template:
        case str():
            try:
                found = [part for part in parsed_text(template) if isinstance(part, Expression)]
            except Unanswerable as error:
                yield where, error.reason
                return
            yield from ((where, part) for part in found)
        case list():
            for place, each in enumerate(template):  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
                yield from expressions(each, f"{where}/{place}")
        case dict():
            for key, each in template.items():  # pyright: ignore[reportUnknownVariableType]
                yield from expressions(each, f"{where}/{pointer(str(key))}")  # pyright: ignore[reportUnknownArgumentType]
        case _:
            pass


def pointer(name: str) -> str:
    """A name as a part of a JSON pointer (RFC 6901)."""
    return name.replace("~", "~0").replace("/", "~1")


@lru_cache(maxsize=8_192)
def parsed_text(text: str) -> tuple[Part, ...]:
    """Raises Unanswerable."""
    parts: list[Part] = []
    plain, place = "", 0
    while (start := text.find("${", place)) >= 0:
        if start > place and text[start - 1] == "$":
            plain += text[place : start - 1] + "${"
            place = start + 2
            continue
        end = _closing(text, start + 2)
        if plain := plain + text[place:start]:
            parts.append(plain)
        parts.append(compiled(text[start + 2 : end].strip()))
        plain, place = "", end + 1
    if plain := plain + text[place:]:
        parts.append(plain)
    return tuple(parts)


def _closing(text: str, start: int) -> int:
    """Where the expression that begins at `start` ends: braces and quotes may be in it."""
    depth, quote, place = 0, "", start
    while place < len(text):
        character = text[place]
        if quote:
            if character == "\\":
                place += 1
            elif character == quote:
                quote = ""
        elif character in "'\"`":
            quote = character
        elif character == "{":
            depth += 1
        elif character == "}":
            if depth == 0:
                return place
            depth -= 1
        place += 1
    raise Unanswerable(f"there is no }} to the ${{ of {text[start - 2 : start + 38]}")


def _filled(template: Any, scope: Scope) -> Any:
    match template:
        case str():
            return _written(template, scope) if "${" in template else template
        case list():
            return [_filled(each, scope) for each in template]  # pyright: ignore[reportUnknownVariableType]
        case dict():
            return {key: _filled(each, scope) for key, each in template.items()}  # pyright: ignore[reportUnknownVariableType]
        case _:
            return template


def _written(template: str, scope: Scope) -> Any:
    parts = parsed_text(template)
    if len(parts) == 1 and isinstance(parts[0], Expression):
        return value(parts[0], scope)
    texts: list[str] = []
    left = MOST_VALUES * CHUNK
    for part in parts:
        texts.append(_as_text(value(part, scope)) if isinstance(part, Expression) else part)
        left -= len(texts[-1])
        if left < 0:
            raise Unanswerable(f"what it writes has more than {MOST_VALUES * CHUNK} characters")
    return "".join(texts)


def _as_text(found: Any) -> str:
    return found if isinstance(found, str) else json.dumps(found, ensure_ascii=False, separators=(",", ":"))


def _data(reads: tuple[Path, ...], scope: Scope) -> dict[str, Any]:
    data: dict[str, Any] = {}
    for path in reads:
        if len(path) == 1:
            data[path[0]] = scope.at(path)
    for path in reads:
        if len(path) == 2 and ("steps",) not in reads:
            data.setdefault("steps", {})[path[1]] = scope.at(path)
    return data


def _reads(node: Any) -> Iterator[Path]:
    kind, children = node["type"], node["children"]
    if kind == "field":
        yield (node["value"],)
    elif kind in {"current", "identity"}:
        yield ("@",)
    elif kind == "subexpression" and children[0].get("value") == "steps" and children[1]["type"] == "field":
        yield ("steps", children[1]["value"])
    elif kind == "subexpression" and children[0].get("value") == "steps" and children[1]["type"] == "index_expression":
        inner = children[1]["children"][0]
        yield ("steps", inner["value"]) if inner["type"] == "field" else ("steps",)
    elif kind in _ON_THEIR_FIRST:
        yield from _reads(children[0])
    elif kind not in {"literal", "expref", "slice", "index"}:
        for child in children:
            yield from _reads(child)


def _calls(node: Any) -> Iterator[str]:
    if not isinstance(node, Mapping):
        return
    if node["type"] == "function_expression":  # pyright: ignore[reportUnknownMemberType]
        yield from _call(str(node["value"]), len(node["children"]))  # pyright: ignore
    for child in node["children"]:  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        yield from _calls(child)


def _call(name: str, given: int) -> Iterator[str]:
    function: Any = Functions.FUNCTION_TABLE.get(name)
    if function is None:
        yield f"there is no function {name}"
        return
    signature = function["signature"]
    variadic = bool(signature and signature[-1].get("variadic"))
    if given != len(signature) and not (variadic and given > len(signature)):
        yield f"{name} takes {'at least ' if variadic else ''}{len(signature)} values, not {given}"


def _first_line(error: BaseException) -> str:
    """Of a fault of the form the first line says what, the others show where."""
    return str(error).split("\n", maxsplit=1)[0][:300]
