"""Opening the log itself, for the commands that read or write all of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from contextlib import ExitStack, asynccontextmanager
from typing import Any, TypeVar

from nats.errors import Error as NatsError

from eventstore.connection import connect_to
from eventstore.errors import EventStoreError
from eventstore.store import EventStore
from sagacity.archive.importing import NotImportable
from sagacity.archive.lines import FileFault
from sagacity.cli import UserError
from sagacity.cli.connecting import LogPlace
from sagacity.cli.options import settings_from
from sagacity.cli.traces import Traces
from sagacity.embedded.directory import CannotStart, DataDirectory
from sagacity.embedded.nats_server import nats_service
from sagacity.embedded.service import StartFailed
from sagacity.embedded.supervisor import Supervisor
from sagacity.initialising import initialise_server
from sagacity.settings import Settings
from sagacity.wiring import catalogue

T = TypeVar("T")


def run(work: Coroutine[Any, Any, T]) -> T:
    """Carry it out; raises UserError with what the log or its server has to say."""
    try:
        return asyncio.run(work)
    except (EventStoreError, FileFault, NatsError, CannotStart, StartFailed, OSError) as error:
        raise UserError(str(error) or type(error).__name__) from error


@asynccontextmanager
async def open_log(place: LogPlace, *, create: bool = False) -> AsyncGenerator[EventStore]:
    """The log of a server, of a running platform, or of one at rest (its nats-server then runs for this command).

    `create`: a data directory that has none yet gets one, and is as it was before if nothing is imported.
    Raises UserError and what `run` translates.
    """
    settings = settings_from({"nats_url": place.nats_url, "data": place.data})
    async with _server(settings, create and place.data is not None) as url:
        connection = await connect_to(url, name="sagacity-cli", patience=5.0, waits=False)
        try:
            store = await EventStore.open(connection, catalogue())
            try:
                yield store
            finally:
                await store.close()
        finally:
            await connection.close()


def server_url(place: LogPlace) -> str:
    """The NATS servers of a running platform. Raises UserError."""
    settings = settings_from({"nats_url": place.nats_url, "data": place.data})
    if settings.nats_url is not None:
        return settings.nats_url
    try:
        return (settings.data.expanduser() / "run" / "nats_url").read_text()
    except OSError as error:
        raise UserError(f"no platform runs in {settings.data}: name a NATS server with --nats") from error


@asynccontextmanager
async def _server(settings: Settings, create: bool) -> AsyncGenerator[str]:
    if settings.nats_url is not None:
        yield settings.nats_url
        return
    directory = DataDirectory(settings.data.expanduser().absolute())
    if not directory.run.exists() and not create:
        raise UserError(f"{settings.data} is no data directory: name one with --data, or a NATS server with --nats")
    traces = Traces(directory.path)
    with ExitStack() as stack:
        try:
            stack.enter_context(directory.taken())
        except CannotStart:
            running = directory.run / "nats_url"
            if not running.exists():
                raise
            yield running.read_text()
            return
        is_new = not (directory.path / "initialised").exists()
        try:
            async with _own_server(settings, directory, create) as url:
                yield url
        except (NotImportable, FileFault, StartFailed):
            if create and is_new:
                traces.remove()
            raise


@asynccontextmanager
async def _own_server(settings: Settings, directory: DataDirectory, create: bool) -> AsyncGenerator[str]:
    initialised = directory.path / "initialised"
    if not initialised.exists() and not create:
        raise UserError(f"the platform in {settings.data} is not running and its log is elsewhere: name it with --nats")
    service, url = nats_service(directory, directory.remembered_port("nats-server"), settings.nats_server)
    async with Supervisor(directory, lambda _: None) as supervisor:
        await supervisor.start(service)
        if not initialised.exists():
            await initialise_server(url)
            initialised.touch()
        yield url
