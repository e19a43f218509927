"""What the commands print: data on stdout, for people or as JSON; progress on stderr."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final

import click
import msgspec
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column, Table

_MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)")

Advance = Callable[[str, int, int], None]
"""Receives what is being done, how far it is, and how far it goes."""

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def console() -> Console:
    """Wide where nobody looks: a pipe gets whole lines, without colours."""
    return Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 200)


def print_json(value: Any) -> None:
    document = msgspec.json.encode(value)
    click.echo(msgspec.json.format(document, indent=2).decode())


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table for people; tab-separated lines for programs, the names of the columns first."""
    if not sys.stdout.isatty():
        for row in (columns, *rows):
            click.echo("\t".join(map(str, row)))
        return
    # What does not fit goes on in the next line: a cut id is no id.
    folded = (Column(name, overflow="fold") for name in columns)
    table = Table(*folded, box=None, header_style="bold", pad_edge=False)
    for row in rows:
        table.add_row(*(escape(_short(str(cell))) for cell in row))
    console().print(table)


def _short(text: str) -> str:
    """A moment as people read it, of this machine's time zone; anything else as it is."""
    if not _MOMENT.fullmatch(text):
        return text
    return f"{datetime.fromisoformat(text).astimezone():%m-%d %H:%M:%S}"


def cell(value: object) -> str:
    """Of a table: nothing for what is not there, and no more digits of a number than people read."""
    match value:
        case None:
            return ""
        case float():
            return f"{value:.4g}"
        case _:
            return str(value)


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"


@contextmanager
def progress() -> Generator[Advance]:
    """A bar on stderr, for people only."""
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    )
    with bar:
        tasks: dict[str, Any] = {}

        def advance(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what)
            bar.update(tasks[what], completed=done, total=total or None)

        yield advance
