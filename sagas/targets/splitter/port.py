"""The splitter port: a front is a port that stays the same while the releases behind it and their weights change.

    open → route … route → close

A route replaces the one before as a whole; from the moment it returns every new request follows it, those in flight
finish where they are, and none is lost. A splitter remembers nothing: whoever opened it routes again after a restart.
An arm that refuses connections costs no request while another of the route takes them. Counting is that of `counting`.
"""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct

from domain.measurement import Reading


class Arm(Struct, frozen=True):
    """A release behind a front: `key` is its start key, `port` is on this machine. Weight 0: no new requests."""

    key: str
    port: int
    weight: int


class Route(Struct, frozen=True):
    """Requests are split by weight, exactly: of every 100 with the weights 95 and 5 five go to the second arm.

    With `sticky_header`, requests with the same value of that header go to the same arm while the route stands, and
    a value that is on the first arm stays there while the first arm's share grows; those without it are split.
    With `incident_header`, failures with the same value of that header are one incident for ever, of the first arm.
    """

    arms: tuple[Arm, ...] = ()
    sticky_header: str | None = None
    incident_header: str | None = None


class Splitter(Protocol):
    """Keys of arms are unique among all fronts. What takes a front raises KeyError for one that is not open."""

    async def start(self) -> None:
        """Call once, first. Raises OSError when it cannot work on this machine."""
        ...

    async def open(self, front: str, port: int) -> None:
        """Without a route it answers 503 with Retry-After. Raises OSError when the port is taken."""
        ...

    async def route(self, front: str, route: Route) -> None:
        """Raises OSError when the splitter does not work any more."""
        ...

    async def close(self, front: str) -> None:
        """Takes no more requests; those in flight get 5 s."""
        ...

    async def reading(self, front: str) -> Reading:
        """Counts of the arms that are routed to, and of those that were last, since this splitter began."""
        ...

    async def in_flight(self, key: str) -> int:
        """Requests that the arm is answering now, WebSockets among them; 0 for one that is not known."""
        ...

    async def lost(self) -> None:
        """Returns once the splitter has ended by itself, and all its fronts with it.

        Its owner then calls `stop` and `start`, opens and routes again. One inside this process never returns.
        """
        ...

    async def stop(self) -> None:
        """Closes all fronts."""
        ...
