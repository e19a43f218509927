"""`sagacity init`: create the log and its companions on external servers, explicitly and once."""

from __future__ import annotations

import asyncio
from typing import Any

import click
from nats.errors import Error as NatsError

from eventstore.connection import connect_to
from eventstore.errors import EventStoreError, LogUnavailable
from sagacity.cli import UserError
from sagacity.cli.options import settings_from, settings_options
from sagacity.initialising import initialise
from sagacity.settings import Settings


@click.command()
@settings_options
def init(**flags: Any) -> None:
    """Create the streams on the NATS server that --nats-url names; what is there is checked and left as it is.

    Example:

        sagacity init --nats-url nats://127.0.0.1:4222
    """
    settings = settings_from(flags)
    if settings.nats_url is None:
        raise UserError("--nats-url is missing: `sagacity up` initialises its own server by itself")
    try:
        asyncio.run(_init(settings, settings.nats_url))
    except LogUnavailable as error:  # which says where
        raise UserError(str(error)) from error
    except (EventStoreError, NatsError, OSError) as error:
        raise UserError(f"{settings.nats_url}: {str(error) or type(error).__name__}") from error
    click.echo("the log is ready")


async def _init(settings: Settings, url: str) -> None:
    connection = await connect_to(url, patience=5.0, waits=False, allow_reconnect=False)
    try:
        await initialise(connection, replicas=settings.nats_replicas)
    finally:
        await connection.close()
