"""Plain text, and text that is also a table: CSV, and JSON that is a list of objects."""

from __future__ import annotations

import csv
import json
from typing import Any, Final, cast

from records.enrich import limits
from records.enrich.content import Collected, NotReadable
from records.enrich.decoding import decode

_SAMPLE: Final = 20_000
_DELIMITERS: Final = ",;\t|"


def read_text(content: bytes, into: Collected, charset: str | None = None) -> str:
    """Raises NotReadable for bytes that are no text in any encoding."""
    decoded = decode(content, charset)
    if decoded.garbled:
        raise NotReadable(f"its bytes are no text: {decoded.doubt}")
    if decoded.doubt:
        into.doubt(decoded.doubt)
    into.add(decoded.text)
    return decoded.text


def read_csv(content: bytes, into: Collected, charset: str | None = None) -> None:
    text = read_text(content, into, charset)
    # Twice the length that a cell may keep: csv refuses a field that is longer than its own limit.
    lines = [line[: 2 * limits.LONGEST_CELL * limits.TABLE_COLUMNS] for line in text[: 10 * _SAMPLE].split("\n")]
    try:
        dialect = csv.Sniffer().sniff(text[:_SAMPLE], _DELIMITERS)
    except csv.Error:
        dialect = csv.excel
    try:
        into.add_table([row for row in csv.reader(lines[: limits.TABLE_ROWS + 2], dialect) if row])
    except csv.Error as error:
        into.doubt(f"its rows cannot be told apart: {error}")


def read_json(content: bytes, into: Collected) -> None:
    """Leaves as lines of `path: value`, so that names stand before values as in any other text."""
    decoded = decode(content)
    if decoded.doubt:
        into.doubt(decoded.doubt)
    try:
        document = json.loads(decoded.text)
        lines = _lines(document)
    except (ValueError, RecursionError) as error:
        into.doubt(f"it is no JSON: {error}")
        return into.add(decoded.text)
    into.add("\n".join(lines))
    _add_rows(document, into)


def _lines(document: object) -> list[str]:
    lines: list[str] = []
    todo: list[tuple[str, object]] = [("", document)]
    while todo:
        path, value = todo.pop()
        if isinstance(value, dict):
            named = cast(dict[str, object], value)
            todo.extend(reversed([(f"{path}.{name}" if path else name, each) for name, each in named.items()]))
        elif isinstance(value, list):
            todo.extend(reversed([(path, each) for each in cast(list[object], value)]))
        else:
            said = "" if value is None else str(value)
            lines.append(f"{path}: {said}" if path else said)
    return lines


def _add_rows(document: Any, into: Collected) -> None:
    if not isinstance(document, list) or not document:
        return
    rows = cast(list[object], document)
    if not all(isinstance(row, dict) for row in rows):
        return
    named = [cast(dict[str, object], row) for row in rows[: limits.TABLE_ROWS + 1]]
    names = list(dict.fromkeys(name for row in named for name in row))
    cells = [[row.get(name) for name in names] for row in named]
    if any(isinstance(cell, dict | list) for row in cells for cell in row):
        return
    into.add_table([names, *cells])
