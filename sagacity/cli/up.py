"""`sagacity up`: the platform, until Ctrl-C."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import click
from rich.console import Console
from rich.markup import escape

from eventstore.errors import EventStoreError
from sagacity.cli import UserError
from sagacity.cli.options import settings_from, settings_options
from sagacity.cli.stopping import until_stopped
from sagacity.embedded.directory import CannotStart
from sagacity.embedded.service import StartFailed
from sagacity.passwords import without_passwords
from sagacity.platform import NotInitialised, running_platform
from sagacity.settings import Settings


@click.command()
@settings_options
def up(**flags: Any) -> None:
    """Run the platform until Ctrl-C or SIGTERM.

    Brings its own nats-server and PostgreSQL unless settings name others. Example:

        sagacity up --data ./data --port 8000
    """
    settings = settings_from(flags)
    try:
        asyncio.run(until_stopped(partial(_up, settings)))
    except (CannotStart, StartFailed, NotInitialised, EventStoreError) as error:
        raise UserError(str(error)) from error


async def _up(settings: Settings, stop: asyncio.Event) -> None:
    console = Console(highlight=False)

    def tell(line: str) -> None:
        console.print(f"[dim]{escape(without_passwords(line))}[/dim]", soft_wrap=True)

    async with running_platform(settings, tell) as running:
        what = running.url or ", ".join(sorted(settings.role))
        console.print(f"Sagacity is ready: [bold]{what}[/bold]  (Ctrl-C stops it)")
        try:
            await stop.wait()
        finally:
            tell("stopping")
