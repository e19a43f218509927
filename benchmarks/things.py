"""What is written in every benchmark: an event of about 200 bytes of business data."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from eventstore.envelope import Context


class Happened(msgspec.Struct, frozen=True, tag="thing.happened"):
    number: int
    text: str = "x" * 180


PAYLOAD = msgspec.json.encode(Happened(1))
CONTEXT = Context(time=datetime(2026, 1, 1, tzinfo=UTC), actor="bench", correlation_id="bench")
