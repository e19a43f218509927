"""`sagacity up`: the platform, until Ctrl-C."""

from __future__ import annotations

import asyncio
import signal
from typing import Any

import click
from rich.console import Console

from eventstore.errors import EventStoreError
from sagacity.cli import UserError
from sagacity.cli.options import settings_from, settings_options
from sagacity.embedded.directory import CannotStart
from sagacity.embedded.service import StartFailed
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
        asyncio.run(_up(settings))
    except (CannotStart, StartFailed, NotInitialised, EventStoreError) as error:
        raise UserError(str(error)) from error


async def _up(settings: Settings) -> None:
    console = Console(highlight=False)
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)

    def tell(line: str) -> None:
        console.print(f"[dim]{line}[/dim]")

    async with running_platform(settings, tell) as running:
        if stop.is_set():
            return
        what = running.url or ", ".join(sorted(settings.role))
        console.print(f"Sagacity is ready: [bold]{what}[/bold]  (Ctrl-C stops it)")
        await stop.wait()
        tell("stopping")
