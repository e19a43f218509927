"""Snapshots of folded state, in a JetStream stream of their own: a cache, never the truth.

A snapshot names the event it was taken after, by version and hash, and the rules it was folded with, by
fingerprint. Whoever loads one checks both and folds the whole history again when either differs.
"""

from __future__ import annotations

import hashlib
import inspect
import sys
from collections.abc import Callable
from types import ModuleType, UnionType
from typing import Any, Final

import msgspec
from nats.errors import Error as NatsError

from eventstore.connection import Connection
from eventstore.envelope import StreamId
from eventstore.errors import LogMisconfigured, LogUnavailable
from eventstore.streams import ALREADY_THERE, LogLocation, ask, error_code

SNAPSHOTS: Final = LogLocation("SNAPSHOTS", "snap")

_HEADROOM: Final = 4096


class Snapshot(msgspec.Struct, frozen=True):
    """The JSON of a stream's state after its event `version`, whose hash is `hash`."""

    version: int
    hash: str
    fingerprint: str
    state: msgspec.Raw


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Snapshot)


async def create_snapshots(connection: Connection, location: LogLocation = SNAPSHOTS, *, replicas: int = 1) -> None:
    """Create the stream, or bring one that is there up to date. Raises LogMisconfigured, LogUnavailable."""
    config: dict[str, Any] = {
        "name": location.stream,
        "subjects": [f"{location.prefix}.>"],
        "num_replicas": replicas,
        "storage": "file",
        "max_msgs_per_subject": 1,
        "discard": "old",
        "allow_direct": True,
        "compression": "s2",
    }
    answer = await ask(connection, f"STREAM.CREATE.{location.stream}", config)
    if error_code(answer) == ALREADY_THERE:
        answer = await ask(connection, f"STREAM.UPDATE.{location.stream}", config)
        if error_code(answer):
            raise LogMisconfigured(location.stream, [answer["error"]["description"]])
    if error_code(answer):
        raise LogUnavailable(answer["error"]["description"])


class Snapshots:
    """The newest snapshot of each stream."""

    def __init__(self, connection: Connection, location: LogLocation = SNAPSHOTS) -> None:
        self._connection = connection
        self._location = location

    async def save(self, stream: StreamId, snapshot: Snapshot) -> None:
        """Replace the stream's snapshot. Raises LogUnavailable, ValueError for one above the server's limit."""
        document = _encoder.encode(snapshot)
        if len(document) > self._connection.max_payload - _HEADROOM:
            raise ValueError(f"the state of {stream} is {len(document)} bytes: too large for a snapshot")
        try:
            answer = await self._connection.request(self._subject(stream), document, timeout=5.0)
        except (NatsError, OSError) as error:
            raise LogUnavailable(f"the snapshot of {stream} was not stored: {error}") from error
        refusal = msgspec.json.decode(answer.data).get("error")
        if refusal:
            raise LogUnavailable(f"the snapshot of {stream} was not stored: {refusal.get('description')}")

    async def load(self, stream: StreamId, fingerprint: str) -> Snapshot | None:
        """The newest snapshot; None where there is none that today's rules made and that can be read now."""
        call = f"$JS.API.DIRECT.GET.{self._location.stream}.{self._subject(stream)}"
        try:
            answer = await self._connection.request(call, timeout=2.0)
            snapshot = _decoder.decode(answer.data)
        except (NatsError, OSError, msgspec.DecodeError):
            return None
        return snapshot if snapshot.fingerprint == fingerprint else None

    def _subject(self, stream: StreamId) -> str:
        return f"{self._location.prefix}.{stream.category}.{stream.id}"


def fingerprint_of(states: UnionType | type[Any], evolve: Callable[..., Any]) -> str:
    """Changes whenever the state's schema or a source file of its rules changes: old snapshots then lapse.

    Rules call others beside them: every module of their package counts that is loaded.
    """
    schema = msgspec.json.encode(msgspec.json.schema(states), order="sorted")
    package = evolve.__module__.partition(".")[0]
    modules = (sys.modules[name] for name in sorted(sys.modules) if name.partition(".")[0] == package)
    return hashlib.sha256(b"\0".join((schema, *map(_source_of, modules)))).hexdigest()


def _source_of(module: ModuleType) -> bytes:
    try:
        return inspect.getsource(module).encode()
    except (OSError, TypeError):
        return b""
