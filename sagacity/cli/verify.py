"""`sagacity verify`: proof that the log is what was written."""

from __future__ import annotations

import os
from pathlib import Path

import click
import msgspec

from eventstore.verification import Anchor, Progress, Verified
from eventstore.verification import verify as verify_log
from sagacity.cli import UserError
from sagacity.cli.connecting import LogPlace, log_options
from sagacity.cli.event_log import open_log, run
from sagacity.cli.output import json_option, print_json, progress


class Checkpoint(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is remembered of a log that was intact: its last position and that event's hash."""

    position: int
    hash: str


@click.command()
@click.option(
    "--checkpoint",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Compare with what FILE remembers, and remember the end of the log there: a shortened log is noticed.",
)
@json_option
@log_options
@click.pass_context
def verify(context: click.Context, *, target: LogPlace, checkpoint: Path | None, as_json: bool) -> None:
    """Read the whole log: every position, version, hash and document. Exits 1 with every fault.

    Example:

        sagacity verify --checkpoint sagacity.checkpoint
    """
    remembered = _read(checkpoint) if checkpoint is not None else None
    verified = run(_verify(target, remembered))
    _print(verified, as_json)
    if verified.faults:
        context.exit(1)
    if checkpoint is not None and verified.events:
        _write(checkpoint, Checkpoint(verified.last, verified.hash))


async def _verify(target: LogPlace, remembered: Checkpoint | None) -> Verified:
    anchors = [Anchor(remembered.position, remembered.hash)] if remembered else []
    async with open_log(target) as store:
        with progress() as advance:

            def on_progress(done: Progress) -> None:
                advance("verifying", done.position, done.last)

            return await verify_log(store, anchors=anchors, on_progress=on_progress)


def _print(verified: Verified, as_json: bool) -> None:
    if as_json:
        print_json(verified)
        return
    for fault in verified.faults:
        click.echo(f"{fault.kind} at position {fault.position}: {fault.text}")
    size = f"{verified.events} events in {verified.streams} streams"
    count = len(verified.faults)
    click.echo(f"{size}: {f'{count} fault' + 's' * (count > 1) if count else 'intact'}")


def _read(file: Path) -> Checkpoint | None:
    try:
        return msgspec.json.decode(file.read_bytes(), type=Checkpoint)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UserError(f"--checkpoint: {file} cannot be read: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UserError(f"--checkpoint: {file} is no checkpoint: {error}") from error


def _write(file: Path, checkpoint: Checkpoint) -> None:
    """Whole or not at all."""
    new = file.with_name(f".{file.name}.new")
    try:
        new.write_bytes(msgspec.json.encode(checkpoint) + b"\n")
        os.replace(new, file)
    except OSError as error:
        raise UserError(f"--checkpoint: {file} cannot be written: {error.strerror}") from error
