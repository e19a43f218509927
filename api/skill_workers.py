"""Who offers a skill at the moment: the last heartbeat of each of its workers."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from eventstore.connection import Connection
from eventstore.envelope import now
from eventstore.errors import LogUnavailable
from eventstore.streams import NO_STREAM, ask, error_code
from skills.protocol import GONE, HEARTBEATS, Heartbeat, joint_subject

_MOST = 1_000
"""Workers of one skill that are named."""

_beats: msgspec.json.Decoder[Heartbeat | list[Heartbeat]] = msgspec.json.Decoder(Heartbeat | list[Heartbeat])


class Worker(msgspec.Struct, frozen=True):
    """`running` calls, and those that it has `done` and `failed` since it `started`, when it was last `heard`, so many
    `seconds` ago. `alive`: it was heard of lately."""

    skill: str
    version: str
    worker: str
    alive: bool
    heard: datetime
    seconds: float
    started: datetime
    running: int
    done: int
    failed: int
    details: dict[str, Any]


async def workers_of(connection: Connection, skill: str) -> Sequence[Worker]:
    """By version and name. Nobody, where there is no stream of heartbeats yet. Raises LogUnavailable."""
    own, joint = await asyncio.gather(
        _subjects(connection, f"heartbeat.{skill}.>"), _subjects(connection, joint_subject(">"))
    )
    found = await asyncio.gather(*(_last(connection, subject) for subject in [*own, *joint][:_MOST]))
    workers = [each for heard in found for each in heard if each.skill == skill]
    return sorted(workers, key=lambda each: (each.version, each.worker))


async def _subjects(connection: Connection, pattern: str) -> Sequence[str]:
    """On which there is a message."""
    answer = await ask(connection, f"STREAM.INFO.{HEARTBEATS}", {"subjects_filter": pattern})
    if error_code(answer) == NO_STREAM:
        return ()
    if error_code(answer):
        raise LogUnavailable(f"{HEARTBEATS}: {answer['error']['description']}")
    return sorted(answer["state"].get("subjects") or {})


async def _last(connection: Connection, subject: str) -> Sequence[Worker]:
    """Nobody where it was forgotten meanwhile, or is no heartbeat."""
    answer = await ask(connection, f"STREAM.MSG.GET.{HEARTBEATS}", {"last_by_subj": subject})
    if error_code(answer):
        return ()
    message = answer["message"]
    try:
        beats = _beats.decode(base64.b64decode(message.get("data", "")))
    except msgspec.DecodeError:
        return ()
    heard = msgspec.convert(message["time"], datetime)
    return [_worker(beat, heard) for beat in ([beats] if isinstance(beats, Heartbeat) else beats)]


def _worker(beat: Heartbeat, heard: datetime) -> Worker:
    ago = max(0.0, (now() - heard).total_seconds())
    return Worker(
        beat.skill,
        beat.version,
        beat.worker,
        ago <= GONE,
        heard,
        round(ago, 3),
        beat.started,
        beat.running,
        beat.done,
        beat.failed,
        beat.details,
    )
