"""`min_position`: reading what was just written, from the read models and from the log."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated, Final

from litestar.params import QueryParameter

from api.services import Services
from projections.queries import NotReached

LAST_POSITION: Final = 2**63 - 1
_LONGEST_WAIT: Final = 30.0
_LOOK: Final = 0.02

MinPosition = Annotated[
    int | None,
    QueryParameter(ge=0, le=LAST_POSITION, description="Wait until the answer can know this position"),
]
Wait = Annotated[float, QueryParameter(ge=0, le=_LONGEST_WAIT, description="Seconds to wait for `min_position`")]


async def reached(services: Services, name: str, wanted: int | None, wait: float) -> int:
    """Wait if asked to; the position the answer is at least as new as. Raises NotReached."""
    if wanted is None:
        return await services.models.position(name)
    return await services.models.wait_for(name, wanted, wait)


async def log_reached(services: Services, wanted: int | None, wait: float) -> int:
    """The same for what is read straight from the log: the leader is asked only where the live events know too little,
    at the beginning and at the end. Raises NotReached, LogUnavailable."""
    if wanted is None or services.live.position >= wanted:
        return services.live.position
    deadline = time.monotonic() + wait
    known = (await services.store.state()).last
    while known < wanted:
        remaining = deadline - time.monotonic()
        if remaining <= 0:
            known = (await services.store.state()).last
            break
        await asyncio.sleep(min(_LOOK, remaining))
        known = services.live.position
    if known < wanted:
        raise NotReached("the log", wanted, known)
    return known
