"""Skills that a process does itself, beside its other work: it says that it is there for all of them in one message."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, ParamSpec, cast

import msgspec
from nats.errors import Error as NatsError

from eventstore.connection import Connection
from eventstore.envelope import now
from skills.protocol import BEAT, Failed, Heartbeat, Result, joint_subject
from skills.skill import Skill

P = ParamSpec("P")


@dataclass(slots=True)
class _Figures:
    running: int = 0
    done: int = 0
    failed: int = 0


class Offering:
    """`worker` is the process by name."""

    def __init__(self, skills: Iterable[Skill[Any, Any]], worker: str) -> None:
        self.worker = worker
        self._started = now()
        self._figures = {(each.name, each.specification.version): _Figures() for each in skills}

    def counted(self, perform: Callable[P, Awaitable[Result]]) -> Callable[P, Awaitable[Result]]:
        """What does one attempt at a call of the skill that is its first argument, as it was; counted is what it has
        done. One that is cancelled, or has no result, is not done."""

        async def counting(*args: P.args, **kwargs: P.kwargs) -> Result:
            skill = cast(Skill[Any, Any], args[0])
            figures = self._figures[skill.name, skill.specification.version]
            figures.running += 1
            try:
                result = await perform(*args, **kwargs)
            finally:
                figures.running -= 1
            figures.done += 1
            figures.failed += isinstance(result, Failed)
            return result

        return counting

    def beats(self) -> list[Heartbeat]:
        return [
            Heartbeat(name, version, self.worker, self._started, each.running, each.done, each.failed)
            for (name, version), each in self._figures.items()
        ]

    async def announce(self, connection: Connection) -> None:
        """For ever."""
        while True:
            with contextlib.suppress(NatsError, OSError):
                await connection.publish(joint_subject(self.worker), msgspec.json.encode(self.beats()))
            await asyncio.sleep(BEAT)
