"""Moving the log from and to files: what `events export`, `events import` and `restore` do."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import IO

import click

from sagacity.archive.exporting import Exported, Selection, export
from sagacity.archive.importing import Imported, Interrupted, NotImportable, import_events
from sagacity.archive.resuming import NotResumable, resume_point
from sagacity.cli import UserError
from sagacity.cli.connecting import LogPlace
from sagacity.cli.event_log import open_log, run
from sagacity.cli.output import progress


def export_to(target: LogPlace, out: str, selection: Selection, resume: bool) -> Exported:
    """To a new file, one to go on with, or standard output (`-`). Raises UserError."""
    if resume and out == "-":
        raise UserError("--resume: needs a file to go on with (--out FILE)")
    return run(_export(target, out, selection, resume))


async def _export(target: LogPlace, out: str, selection: Selection, resume: bool) -> Exported:
    async with open_log(target) as store:
        with ExitStack() as stack:
            if resume:
                try:
                    selection = selection._replace(after=await resume_point(store, Path(out), selection))
                except NotResumable as error:
                    raise UserError(str(error)) from error
            file = _opened(out, resume, stack)
            advance = stack.enter_context(progress())
            return await export(store, file.write, selection, lambda done, last: advance("exporting", done, last))


def _opened(out: str, resume: bool, stack: ExitStack) -> IO[bytes]:
    if out == "-":
        return sys.stdout.buffer
    try:
        return stack.enter_context(Path(out).open("ab" if resume else "xb"))
    except FileExistsError as error:
        raise UserError(f"{out} exists already: --resume goes on with it") from error
    except OSError as error:
        raise UserError(f"{out} cannot be written: {error.strerror}") from error


def restore_file(target: LogPlace, file: Path, go_on: bool) -> Imported:
    """Raises UserError with every reason, or how to go on."""
    try:
        file.open("rb").close()
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}") from error
    hint = "the same command with --continue goes on from there"
    try:
        return run(_import(target, file, go_on))
    except NotImportable as error:
        raise UserError(f"nothing was imported: {error}") from error
    except Interrupted as error:
        raise UserError(f"the import {error}; {hint}") from error
    except KeyboardInterrupt:
        click.echo(f"sagacity: the import was stopped; {hint}", err=True)
        raise


async def _import(target: LogPlace, file: Path, go_on: bool) -> Imported:
    async with open_log(target, create=True) as store:
        with progress() as advance:
            return await import_events(store, file, go_on=go_on, report=advance)
