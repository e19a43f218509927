"""Files of rows to predict, of answers and of labels, on the user's side."""

from __future__ import annotations

import csv
import re
import sys
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import StringIO
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TextIO, TypeVar

import msgspec

from models.data.formats import ENDINGS, Format
from sagacity.cli import UserError

if TYPE_CHECKING:
    from domain.pipeline import ColumnType, Value
    from models.data.tables import Columns

T = TypeVar("T")

_NAMED: Final = 10
"""Faults of a column that are named."""
_SHOWN: Final = 40
"""Characters of a value."""
_INSTANCE: Final = re.compile(r"/instances/(\d+)")


def format_of(file: Path) -> Format:
    """By the ending of its name. Raises UserError."""
    found = ENDINGS.get(file.suffix.lower())
    if found is None:
        raise UserError(f"{file}: its name must end in one of {', '.join(ENDINGS)}")
    return found


def size_of(file: Path) -> int:
    """In bytes. Raises UserError."""
    try:
        return file.stat().st_size
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}") from error


def content_of(file: Path) -> bytes:
    """Raises UserError."""
    try:
        return file.read_bytes()
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}") from error


def read_columns(file: Path, features: Mapping[str, ColumnType], keep: Sequence[str]) -> Columns:
    """The features of a model, and the columns to keep. Raises UserError with every fault, by rows of the file."""
    from models.data.tables import TableInvalid, read_table

    try:
        columns, kinds = read_table(content_of(file), format_of(file))
    except TableInvalid as error:
        raise UserError(f"{file}: {'; '.join(error.faults)}{_hint(file)}") from error
    names = list(dict.fromkeys([*features, *keep]))
    missing = [name for name in names if name not in columns]
    if missing:
        raise UserError(f"{file}: lacks the columns {', '.join(map(repr, missing))}{_hint(file)}")
    mistaken = [name for name, kind in features.items() if kind == "number" and kinds[name] == "category"]
    if mistaken:
        # One cell of text makes its whole column one of text: the other rows are not to blame.
        raise UserError(f"{file}: {'; '.join(_no_numbers(name, columns[name]) for name in mistaken)}")
    return {name: columns[name] for name in names}


def in_file(file: Path, before: int, where: str) -> str:
    """A place in a request's instances, `before` rows of the file having been sent, as one in the file."""
    found = _INSTANCE.match(where)
    return f"{file}, row {before + int(found[1]) + 1}{where[found.end() :]}" if found else where


def _no_numbers(name: str, values: Sequence[Value]) -> str:
    wrong = ((row, value) for row, value in enumerate(values, 1) if isinstance(value, str) and not _is_number(value))
    first = list(islice(wrong, _NAMED + 1))
    named = [f"row {row}: {value[:_SHOWN]!r} is no number" for row, value in first[:_NAMED]]
    more = ["and more"] if len(first) > _NAMED else []
    return f"column {name!r} must hold numbers; {'; '.join([*named, *more]) or 'it holds text'}"


def _is_number(text: str) -> bool:
    """As data files are read; Python takes 1_000, too."""
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text


def _hint(file: Path) -> str:
    """What may be the matter with a CSV whose names are not as they should be."""
    first = content_of(file).split(b"\n", 1)[0]
    semicolons = format_of(file) == "csv" and first.count(b";") > first.count(b",")
    return " (it seems to be separated by semicolons: commas are needed)" if semicolons else ""


def read_pairs(file: Path, names: tuple[str, str]) -> list[tuple[str, str]]:
    """Two columns of text, as it stands there: ids are no numbers. Raises UserError with the first fault."""
    found: list[tuple[str, str]] = []
    for number, row in enumerate(_documents(file), 1):
        values = [row.get(name) for name in names]
        if any(value is None or value == "" for value in values):
            missing = [name for name, value in zip(names, values, strict=True) if value is None or value == ""]
            raise UserError(f"{file}, row {number}: has no {' and no '.join(missing)}{_hint(file)}")
        found.append((str(values[0]), str(values[1])))
    return found


def _documents(file: Path) -> Iterator[Mapping[str, Any]]:
    format = format_of(file)
    if format == "parquet":
        raise UserError(f"{file}: labels are read from .csv, .ndjson or .jsonl")
    try:
        text = content_of(file).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{file}: is not UTF-8: byte {error.start}") from error
    if format == "csv":
        yield from csv.DictReader(StringIO(text, newline=""))
        return
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            try:
                yield msgspec.json.decode(line, type=dict[str, Any])
            except msgspec.DecodeError as error:
                raise UserError(f"{file}, line {number}: is no JSON object: {error}") from error


def batched(rows: Iterable[T], size: int) -> Iterator[list[T]]:
    source = iter(rows)
    while batch := list(islice(source, size)):
        yield batch


class Answers:
    """Lines of answers: CSV with a header, or NDJSON."""

    def __init__(self, file: TextIO, columns: Sequence[str], as_json: bool) -> None:
        self._file = file
        self._columns = columns
        self._as_json = as_json
        self._csv = csv.DictWriter(file, columns, extrasaction="ignore", lineterminator="\n")
        if not as_json:
            self._csv.writeheader()

    def write(self, row: Mapping[str, Any]) -> None:
        if self._as_json:
            document = msgspec.json.encode({name: row[name] for name in self._columns})
            self._file.write(document.decode() + "\n")
        else:
            self._csv.writerow(row)


@contextmanager
def answers_to(out: Path | None, columns: Sequence[str], as_json: bool) -> Generator[Answers]:
    """On stdout, or in a file whose ending says whether it is JSON. Raises UserError."""
    if out is None:
        yield Answers(sys.stdout, columns, as_json)
        return
    as_json = as_json or format_of(out) == "ndjson"
    try:
        with out.open("w", encoding="utf-8", newline="") as file:
            yield Answers(file, columns, as_json)
    except OSError as error:
        raise UserError(f"{out} cannot be written: {error.strerror}") from error
