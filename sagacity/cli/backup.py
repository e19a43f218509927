"""`sagacity backup` and `sagacity restore`."""

from __future__ import annotations

from pathlib import Path

import click

from sagacity.archive.backups import BackupFault, Manifest, back_up, opened
from sagacity.cli import UserError
from sagacity.cli.connecting import LogPlace, log_options
from sagacity.cli.event_log import open_log, run
from sagacity.cli.moving import restore_file
from sagacity.cli.output import json_option, print_json, progress


@click.command()
@click.argument("place", metavar="DIR|FILE.tar", type=click.Path(path_type=Path))
@json_option
@log_options
def backup(*, target: LogPlace, place: Path, as_json: bool) -> None:
    """Write the whole log, compressed, with a manifest, into a new directory or a new .tar file.

    Example:

        sagacity backup backups/2026-11-21
    """
    try:
        manifest = run(_back_up(target, place))
    except BackupFault as error:
        raise UserError(str(error)) from error
    if as_json:
        print_json(manifest)
    else:
        click.echo(f"{_size(manifest)} are in {place} ({manifest.bytes} bytes)")


@click.command()
@click.argument("place", metavar="DIR|FILE.tar", type=click.Path(path_type=Path))
@click.option("--continue", "go_on", is_flag=True, help="Go on after an interrupted restore of the same backup.")
@log_options
def restore(*, target: LogPlace, place: Path, go_on: bool) -> None:
    """Restore a backup into an empty log: of a server (--nats) or of a new data directory (--data).

    Backup and log are checked before and after; no saga runner may be at work on the log. Read models are not part
    of a backup: projections fill them again from the log. Example:

        sagacity restore backups/2026-11-21 --data ./restored
    """
    try:
        with opened(place) as (manifest, file):
            result = restore_file(target, file, go_on)
    except BackupFault as error:
        raise UserError(str(error)) from error
    click.echo(f"{_size(manifest)} are in the log, {result.written} of them written now; all verified")
    click.echo(
        "The read models follow from the log: a new database is filled when the platform starts; in one that was "
        "ahead of this backup, run `sagacity projections rebuild NAME` for each."
    )


async def _back_up(target: LogPlace, place: Path) -> Manifest:
    async with open_log(target) as store:
        with progress() as advance:
            return await back_up(store, place, lambda done, last: advance("backing up", done, last))


def _size(manifest: Manifest) -> str:
    return f"{manifest.events} events up to position {manifest.last_position}"
