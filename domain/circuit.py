"""A circuit breaker, pure: after some failures in a row nobody tries for a while; then one failure is enough again."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

from msgspec import Meta, Struct


class CircuitPolicy(Struct, frozen=True, forbid_unknown_fields=True):
    """Opens at so many `failures` in a row, for `recovery` seconds."""

    failures: Annotated[int, Meta(ge=1, le=1000)] = 5
    recovery: Annotated[float, Meta(gt=0, le=86_400)] = 30.0


class Circuit(Struct, frozen=True):
    """`failures` in a row so far. After `open_until` the next attempt decides."""

    failures: int = 0
    open_until: datetime | None = None

    def is_open(self, at: datetime) -> bool:
        return self.open_until is not None and at < self.open_until


def opens(before: Circuit, policy: CircuitPolicy, at: datetime) -> datetime | None:
    """Until when the circuit is open after one more failure; None: it stays as it is."""
    if before.is_open(at) or before.failures + 1 < policy.failures:
        return None
    return at + timedelta(seconds=policy.recovery)
