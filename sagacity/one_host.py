"""One process host to a log: a second platform with the saga role would look for releases where they do not run.

Whoever has the saga role answers on a subject of the log's server for as long as it is connected. So there is no lease
to expire: what was killed answers no more, and the next start finds the place free at once.
"""

from __future__ import annotations

import asyncio
import os
import socket
import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from nats.aio.msg import Msg

from eventstore.connection import Connection, connect_to
from sagacity.embedded.directory import CannotStart

_SUBJECT: Final = "sagacity.host"
_ASKED: Final = 3
_PATIENCE: Final = 0.5
"""Times, and seconds each, to wait for an answer. Two that start in the same moment hear each other, and both give
way."""


@asynccontextmanager
async def only_host(nats_url: str, data: Path, *, ask: bool) -> AsyncGenerator[None]:
    """Be the one platform with the saga role while inside. `ask`: whether there may be another already (a platform
    with a log of its own does not ask).

    Raises CannotStart when there is, and what `connect_to` raises.
    """
    connection = await connect_to(nats_url, name="sagacity-host")
    try:
        me = uuid.uuid4().hex

        async def answer(question: Msg) -> None:
            if question.data.decode() != me:
                await question.respond(f"process {os.getpid()} on {socket.gethostname()} in {data}".encode())

        await connection.subscribe(_SUBJECT, cb=answer)  # pyright: ignore[reportUnknownMemberType]
        other = await _other(connection, me) if ask else None
        if other is not None:
            raise CannotStart(
                f"the saga role of this log is taken ({other}): one machine runs it, with the releases; "
                "leave saga out of --role here"
            )
        yield
    finally:
        await connection.close()


async def _other(connection: Connection, me: str) -> str | None:
    heard: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def hear(answer: Msg) -> None:
        if not heard.done():
            heard.set_result(answer.data.decode())

    inbox = connection.new_inbox()
    await connection.subscribe(inbox, cb=hear)  # pyright: ignore[reportUnknownMemberType]
    for _ in range(_ASKED):
        await connection.publish(_SUBJECT, me.encode(), reply=inbox)
        await asyncio.wait({heard}, timeout=_PATIENCE)
        if heard.done():
            break
    return heard.result() if heard.done() else None
