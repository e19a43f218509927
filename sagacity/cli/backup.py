"""`sagacity backup` and `sagacity restore`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Final

import click

from eventstore.blobs import BlobMissing, Blobs, create_blobs
from eventstore.errors import LogUnavailable
from sagacity.archive.backups import EVENTS, BackupFault, Manifest, back_up, opened
from sagacity.archive.blobs import restore_blobs
from sagacity.cli import UserError
from sagacity.cli.connecting import LogPlace, log_options
from sagacity.cli.event_log import open_log, run
from sagacity.cli.moving import restore_file
from sagacity.cli.output import json_option, print_json, progress

_SHOWN: Final = 20


@click.command()
@click.argument("place", metavar="DIR|FILE.tar", type=click.Path(path_type=Path))
@json_option
@log_options
@click.pass_context
def backup(context: click.Context, *, target: LogPlace, place: Path, as_json: bool) -> None:
    """Write the whole log and the blobs that it names, with a manifest, into a new directory or a new .tar file.

    Exits 1 when blobs are missing that must be there, and names them; the rest is in the backup all the same. Example:

        sagacity backup backups/2026-11-21
    """
    try:
        manifest = run(_back_up(target, place))
    except BackupFault as error:
        raise UserError(str(error)) from error
    if as_json:
        print_json(manifest)
    else:
        click.echo(f"{_size(manifest)} are in {place} ({manifest.bytes} bytes of events)")
    _tell_of_lost(manifest)
    context.exit(1 if manifest.lost_blobs else 0)


@click.command()
@click.argument("place", metavar="DIR|FILE.tar", type=click.Path(path_type=Path))
@click.option("--continue", "go_on", is_flag=True, help="Go on after an interrupted restore of the same backup.")
@log_options
@click.pass_context
def restore(context: click.Context, *, target: LogPlace, place: Path, go_on: bool) -> None:
    """Restore a backup into an empty log: of a server (--nats) or of a new data directory (--data).

    Backup and log are checked before and after; no saga runner may be at work on the log. What is named by its hash
    comes back with it; exits 1, when all is done, if the backup lacks some of it. Read models are not part of a backup:
    projections fill them again from the log. Example:

        sagacity restore backups/2026-11-21 --data ./restored
    """
    try:
        with opened(place) as (manifest, directory):
            result = restore_file(target, directory / EVENTS, go_on)
            if manifest.blobs:
                run(_restore_blobs(target, directory))
    except (BackupFault, BlobMissing) as error:
        raise UserError(str(error)) from error
    click.echo(f"{_size(manifest)} are in the log, {result.written} of them written now; all verified")
    _tell_of_lost(manifest)
    click.echo(
        "The read models follow from the log: a new database is filled when the platform starts; in one that was "
        "ahead of this backup, run `sagacity projections rebuild NAME` for each."
    )
    context.exit(1 if manifest.lost_blobs else 0)


async def _back_up(target: LogPlace, place: Path) -> Manifest:
    async with open_log(target) as store:
        with progress() as advance:
            return await back_up(store, place, advance)


async def _restore_blobs(target: LogPlace, directory: Path) -> None:
    """Raises UserError with how to go on, and what `run` translates."""
    async with open_log(target) as store:
        try:
            await create_blobs(store.connection, replicas=(await store.state()).replicas)
            with progress() as advance:
                await restore_blobs(Blobs(store.connection), directory, partial(advance, "restoring blobs"))
        except LogUnavailable as error:
            raise UserError(f"blobs are missing yet: {error}; the same command with --continue goes on") from error


def _size(manifest: Manifest) -> str:
    return f"{manifest.events} events up to position {manifest.last_position} and {manifest.blobs} blobs"


def _tell_of_lost(manifest: Manifest) -> None:
    if manifest.lost_blobs:
        shown, more = manifest.lost_blobs[:_SHOWN], len(manifest.lost_blobs) - _SHOWN
        names = ", ".join(shown) + (f" and {more} more" if more > 0 else "")
        click.echo(f"sagacity: not in the backup, because they are lost: {names}", err=True)
