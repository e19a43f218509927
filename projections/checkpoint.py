"""How far a projection has read, and whether it goes on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import msgspec

from eventstore.envelope import NO_HASH, Recorded
from projections.tables import META

if TYPE_CHECKING:
    from projections.tables import Connection

State = Literal["building", "live", "halted"]
"""building: filled for the first time, its indexes come when it has caught up; halted: it waits for a person."""


class Checkpoint(msgspec.Struct, frozen=True):
    """`event_hash` is that of the event at `position`: a log that holds another one there is not the log it read.

    Requests to rebuild it that stand at `built_at` or before are fulfilled.
    """

    name: str
    position: int
    event_hash: str
    log_created: str
    fingerprint: str
    state: State
    reason: str | None = None
    built_at: int = 0
    rebuild_position: int | None = None

    @classmethod
    def first(cls, name: str, log_created: str, fingerprint: str, built_at: int) -> Checkpoint:
        return cls(name, 0, NO_HASH, log_created, fingerprint, "building", built_at=built_at)

    @property
    def is_active(self) -> bool:
        return self.state != "halted"

    def moved(self, to: Recorded) -> Checkpoint:
        return msgspec.structs.replace(self, position=to.position, event_hash=to.hash)

    def becomes(self, state: State, reason: str | None = None) -> Checkpoint:
        return msgspec.structs.replace(self, state=state, reason=reason and reason[:2000].replace("\0", ""))


_SAVED = ("name", "position", "event_hash", "log_created", "fingerprint", "state", "reason", "built_at")


async def load_checkpoints(connection: Connection) -> dict[str, Checkpoint]:
    columns = ", ".join(Checkpoint.__struct_fields__)
    found = await connection.fetch(f"SELECT {columns} FROM {META}.checkpoint")
    return {record["name"]: Checkpoint(**dict(record)) for record in found}


async def save_checkpoints(connection: Connection, checkpoints: Sequence[Checkpoint]) -> None:
    """Everything but the progress of a rebuild, which is saved by itself."""
    if not checkpoints:
        return
    changes = ", ".join(f"{name} = EXCLUDED.{name}" for name in _SAVED[1:])
    await connection.execute(
        f"""INSERT INTO {META}.checkpoint ({", ".join(_SAVED)})
        SELECT * FROM unnest($1::text[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
            $8::bigint[])
        ON CONFLICT (name) DO UPDATE SET {changes}, updated_at = now()""",
        *([getattr(checkpoint, name) for checkpoint in checkpoints] for name in _SAVED),
    )


async def begin_rebuild(connection: Connection, name: str, head: int) -> None:
    await connection.execute(
        f"""UPDATE {META}.checkpoint SET rebuild_position = 0, rebuild_head = $2, rebuild_began = now(),
            rebuild_failure = NULL, rebuild_failed_at = NULL WHERE name = $1""",
        name,
        head,
    )


async def save_rebuild_progress(connection: Connection, name: str, position: int, head: int) -> None:
    await connection.execute(
        f"UPDATE {META}.checkpoint SET rebuild_position = $2, rebuild_head = $3 WHERE name = $1", name, position, head
    )


async def end_rebuild(
    connection: Connection, name: str, *, report: str | None = None, failure: str | None = None, failed_at: int = 0
) -> None:
    """With the report (JSON) of what the switch changed, or with the reason why there was none: then the requests
    that stand at `failed_at` or before are not fulfilled."""
    await connection.execute(
        f"""UPDATE {META}.checkpoint SET rebuild_position = NULL, rebuild_head = NULL, rebuild_began = NULL,
            rebuild_report = coalesce($2::jsonb, rebuild_report), rebuild_failure = $3,
            rebuild_failed_at = $4 WHERE name = $1""",
        name,
        report,
        failure and failure[:2000].replace("\0", ""),
        failed_at if failure else None,
    )
