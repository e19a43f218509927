"""What may be asked for: skills, and definitions of workflows, with the words that tell what each is for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

import asyncpg

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]
else:
    Pool = asyncpg.Pool

MOST = 2_000


class Offer(NamedTuple):
    """`words`: its description, and what it can do."""

    kind: Literal["skill", "workflow"]
    id: str
    words: str


async def offers(pool: Pool, capability: str | None = None) -> Sequence[Offer]:
    """The ones that changed last first, at most 2,000 of each kind; with a capability, the skills that have it."""
    skills = [Offer("skill", *record) for record in await pool.fetch(_SKILLS, capability, MOST)]
    if capability is not None:
        return skills
    return [*skills, *(Offer("workflow", *record) for record in await pool.fetch(_WORKFLOWS, MOST))]


_SKILLS = """
SELECT id, description || ' ' || coalesce(words, '')
FROM skills.skills, LATERAL (SELECT string_agg(word, ' ') AS words FROM jsonb_array_elements_text(capabilities) AS word)
    AS able
WHERE status = 'offered' AND ($1::text IS NULL OR capabilities ? $1) ORDER BY position DESC LIMIT $2"""

_WORKFLOWS = """
SELECT id, description FROM workflow_definitions.workflow_definitions WHERE status = 'published'
ORDER BY position DESC LIMIT $1"""
