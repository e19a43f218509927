"""Connecting, and staying connected."""

from __future__ import annotations

import asyncio
import time

import pytest

from eventstore.connection import connect_to
from eventstore.errors import LogUnavailable
from tests.eventstore.log import CONTEXT, Counted, Log, Noted, everything, stream, until
from tests.eventstore.servers import free_ports


async def test_a_server_that_is_not_there_is_reported_in_time() -> None:
    """With its address and the reason, and without the password."""
    began = time.monotonic()
    [port] = free_ports(1)

    with pytest.raises(LogUnavailable) as failure:
        await connect_to(f"nats://ada:secret@127.0.0.1:{port}", patience=0.5)

    assert time.monotonic() - began < 2
    assert f"nats://127.0.0.1:{port}" in str(failure.value)
    assert "Connect call failed" in str(failure.value)
    assert "secret" not in str(failure.value)


async def test_a_server_that_never_answers_is_reported_in_time() -> None:
    async def say_nothing(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(2)
        writer.close()

    async with await asyncio.start_server(say_nothing, "127.0.0.1", 0) as silent:
        port = silent.sockets[0].getsockname()[1]
        with pytest.raises(LogUnavailable, match=r"no answer within 0\.3 s"):
            await connect_to(f"nats://127.0.0.1:{port}", patience=0.3)


async def test_a_protocol_error_costs_one_reconnect_only(log: Log) -> None:
    """The server says -ERR and hangs up; nats-py would stay closed for good."""
    store = await log.store()
    await store.append(stream("a"), 0, [Counted(1)], CONTEXT)

    await store.connection.write([b"THIS IS NO NATS\r\n"])
    await until(lambda: store.connection.lives == 1)

    await store.append(stream("a"), 1, [Counted(2)], CONTEXT)
    assert len(await everything(store)) == 2


async def test_half_a_frame_of_the_old_connection_never_meets_the_new_one(log: Log) -> None:
    """The old connection's last bytes may still be parsed while the new one is made."""
    store = await log.store()
    for version in range(5):
        await store.connection.force_reconnect()
        await store.connection._ps.parse(b"MSG nobody 1 500\r\nthe beginning of a message")
        await until(lambda: store.connection.is_connected)

        await store.append(stream("a"), version, [Counted(version)], CONTEXT, timeout=5)

    assert len(await everything(store)) == 5


async def test_one_bad_message_does_not_end_the_reading(log: Log) -> None:
    """A stranger's nonsense in one of our inboxes is dropped."""
    store = await log.store()
    inboxes = [subscription.subject for subscription in store.connection._subs.values()]
    for inbox in inboxes:
        await store.connection.publish(inbox.replace("*", "1"), b"\xff nonsense")

    await store.append(stream("a"), 0, [Counted(1)], CONTEXT, timeout=5)
    assert len(await store.load(stream("a"))) == 1


async def test_frames_survive_any_cut(log: Log) -> None:
    """Events of all sizes around the buffer's, sent and received in pieces as the network likes."""
    store = await log.store()
    sizes = [0, 1, 100, 4_000, 32_750, 32_768, 65_536, 131_072, 500_000]
    for version, size in enumerate(sizes):
        await store.append(stream("a"), version, [_text(size)], CONTEXT)

    events = await store.load(stream("a"))

    assert [len(store.decode(event).text) for event in events] == sizes
    assert [store.decode(event) for event in await everything(store)] == [_text(size) for size in sizes]


def _text(size: int) -> Noted:
    return Noted("\r\n" * (size // 2) + "x" * (size % 2))


async def test_a_client_that_is_closed_in_the_moment_of_an_attempt_makes_no_other(log: Log, monkeypatch) -> None:
    """`asyncio.wait_for` of Python 3.11 loses the cancellation then."""
    store = await log.store()
    attempts = 0

    async def refused(**_: object) -> None:
        nonlocal attempts
        attempts += 1
        closing = asyncio.ensure_future(store.connection.close())
        await asyncio.sleep(0)
        reconnecting.cancel()
        del closing
        raise ConnectionRefusedError

    monkeypatch.setattr(asyncio, "open_connection", refused)
    await store.connection.force_reconnect()
    reconnecting = store.connection._reconnection_task
    assert reconnecting is not None
    await asyncio.wait((reconnecting,), timeout=5)
    assert reconnecting.done()
    assert attempts == 1
