"""Cells of an Excel workbook: what was last computed of formulas, row by row."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from datetime import date, datetime, time
from importlib import import_module
from io import BytesIO
from itertools import islice
from typing import Any

from records.enrich import archives, limits
from records.enrich.content import Collected, NotReadable


def read_xlsx(content: bytes, into: Collected) -> None:
    """Raises NotReadable."""
    archives.check(content)
    openpyxl: Any = import_module("openpyxl")
    warnings.simplefilter("ignore")  # of styles and extensions that nothing is read from
    try:
        workbook = openpyxl.load_workbook(BytesIO(content), read_only=True, data_only=True, keep_links=False)
        for sheet in workbook.worksheets:
            rows = list(_rows(sheet, into))
            into.add_table(rows)
            into.add("\n".join("\t".join(row) for row in rows))
            if into.full:
                break
        workbook.close()
    except MemoryError:
        raise
    except Exception as error:  # openpyxl trusts the file: whatever is missing raises where it is looked for
        raise NotReadable(f"the workbook is broken: {type(error).__name__}: {error}") from error


def _rows(sheet: Any, into: Collected) -> Iterator[list[str]]:
    """Without empty ones, as far as they are looked at."""
    room = limits.LONGEST_TEXT
    found: Any = sheet.iter_rows(values_only=True, max_col=limits.TABLE_COLUMNS, max_row=limits.SHEET_ROWS + 1)
    rows: Iterator[tuple[object, ...]] = islice(found, limits.SHEET_ROWS + 1)
    for number, row in enumerate(rows):
        cells = [_cell(value) for value in row]
        while cells and not cells[-1]:
            cells.pop()
        room -= sum(map(len, cells)) + len(cells)
        if number == limits.SHEET_ROWS or room < 0:
            into.doubt(f"only the first {number} rows of the sheet {sheet.title!r} are read")
            return
        if cells:
            yield cells


def _cell(value: object) -> str:
    match value:
        case None:
            return ""
        case datetime() if value.time() == time():
            return value.date().isoformat()
        case datetime() | date() | time():
            return value.isoformat()
        case float() if value.is_integer() and abs(value) < 1e15:
            return str(int(value))
        case _:
            return " ".join(str(value).split())
