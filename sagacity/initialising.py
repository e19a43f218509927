"""Every stream that Sagacity needs. Light: whoever starts a platform need not import what it runs."""

from __future__ import annotations

from eventstore.blobs import create_blobs
from eventstore.connection import Connection, connect_to
from eventstore.snapshots import create_snapshots
from eventstore.streams import create_log
from handlers.inbound_stream import create_inbound_stream
from models.serve.predictions import create_predictions
from sagas.timers import create_timers
from skills.streams import create_skill_streams


async def initialise(connection: Connection, *, replicas: int = 1) -> None:
    """Create every stream Sagacity needs; those that are there are checked and left as they are."""
    await create_log(connection, replicas=replicas)
    await create_snapshots(connection, replicas=replicas)
    await create_timers(connection, replicas=replicas)
    await create_inbound_stream(connection, replicas=replicas)
    await create_blobs(connection, replicas=replicas)
    await create_predictions(connection, replicas=replicas)
    await create_skill_streams(connection, replicas=replicas)


async def initialise_server(url: str) -> None:
    """The same for whoever has no connection yet. Raises what `connect_to` raises, too."""
    connection = await connect_to(url)
    try:
        await initialise(connection)
    finally:
        await connection.close()
