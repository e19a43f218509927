"""What the commands print: data on stdout, for people or as JSON; progress on stderr."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from typing import Any

import click
import msgspec
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

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
    table = Table(*columns, box=None, header_style="bold", pad_edge=False)
    for row in rows:
        table.add_row(*(escape(str(cell)) for cell in row))
    console().print(table)


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
