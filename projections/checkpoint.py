"""How far a projection has read, and whether it goes on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import msgspec

from eventstore.envelope import NO_HASH, Recorded
from projections.tables import META

if TYPE_CHECKING:
    from projections.tables import Connection

State = Literal["live", "halted"]


class Checkpoint(msgspec.Struct, frozen=True):
    """`event_hash` is that of the event at `position`: a log that holds another one there is not the log it read."""

    name: str
    position: int
    event_hash: str
    log_created: str
    fingerprint: str
    state: State
    reason: str | None = None
    rebuild_position: int | None = None
    rebuild_head: int | None = None

    @classmethod
    def first(cls, name: str, log_created: str, fingerprint: str) -> Checkpoint:
        return cls(name, 0, NO_HASH, log_created, fingerprint, "live")

    def moved(self, to: Recorded) -> Checkpoint:
        return msgspec.structs.replace(self, position=to.position, event_hash=to.hash)

    def halted(self, reason: str) -> Checkpoint:
        return msgspec.structs.replace(self, state="halted", reason=reason[:2000])


async def load_checkpoints(connection: Connection) -> dict[str, Checkpoint]:
    columns = ", ".join(Checkpoint.__struct_fields__)
    found = await connection.fetch(f"SELECT {columns} FROM {META}.checkpoint")
    return {record["name"]: Checkpoint(**dict(record)) for record in found}


async def save_checkpoints(connection: Connection, checkpoints: Sequence[Checkpoint]) -> None:
    """Everything but the progress of a rebuild, which is saved by itself."""
    if not checkpoints:
        return
    await connection.execute(
        f"""INSERT INTO {META}.checkpoint (name, position, event_hash, log_created, fingerprint, state, reason)
        SELECT * FROM unnest($1::text[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[])
        ON CONFLICT (name) DO UPDATE SET position = EXCLUDED.position, event_hash = EXCLUDED.event_hash,
            log_created = EXCLUDED.log_created, fingerprint = EXCLUDED.fingerprint, state = EXCLUDED.state,
            reason = EXCLUDED.reason, updated_at = now()""",
        *(
            [getattr(checkpoint, name) for checkpoint in checkpoints]
            for name in ("name", "position", "event_hash", "log_created", "fingerprint", "state", "reason")
        ),
    )


async def save_rebuild_progress(connection: Connection, name: str, position: int | None, head: int | None) -> None:
    await connection.execute(
        f"UPDATE {META}.checkpoint SET rebuild_position = $2, rebuild_head = $3 WHERE name = $1", name, position, head
    )
