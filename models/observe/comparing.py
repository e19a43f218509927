"""The version in use beside another one: what both say of rows whose label is known."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

from domain import experiment, gate, model, monitor
from eventstore.blobs import Blobs
from models.learn import artifacts
from models.learn.fitted import Fitted
from models.observe.following import Followed
from models.observe.joining import Labelled
from models.observe.observations import Answers
from models.observe.observing import Sources

_AT_ONCE: Final = 10_000
"""Rows that a model is asked for together."""


class Terms(NamedTuple):
    """Of a comparison under way: whose, of which versions, and from where on rows count: labelled after the position
    of the log, predicted after the time."""

    comparison: model.Comparison
    active: str
    artifacts: tuple[str, str]
    after: int
    since: datetime
    odds: float


async def terms_of(sources: Sources, followed: Followed, version: str) -> Terms | None:
    """None while `version` is not compared with another one.

    Only what was predicted and labelled after the comparison began counts: no such row was in the training data of
    the other version.
    """
    known, since = followed.known, followed.comparing
    if known is None or since is None or known.comparison is None or known.active != version:
        return None
    comparison = known.comparison
    active, other = known.versions[version], known.versions[comparison.other]
    found = (await sources.aggregates.load(experiment.experiment, comparison.experiment_id, latest=True)).state
    policy = known.policy if isinstance(found, experiment.Unknown) else found.requested.policy
    odds = policy.gate.odds if comparison.kind == "shadow" else policy.watch.odds
    return Terms(comparison, version, (active.artifact, other.artifact), since.position, since.time, odds)


def compared(terms: Terms, pairs: gate.Pairs) -> monitor.Compared:
    comparison = terms.comparison
    judgement = gate.judge(pairs, terms.odds)
    return monitor.Compared(comparison.experiment_id, comparison.kind, comparison.other, judgement)


class Versions:
    """Those that were asked last, loaded once."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self._loaded: dict[str, Fitted] = {}

    async def answers(self, terms: Terms, labelled: Sequence[Labelled]) -> Answers | None:
        """None when none of the rows counts. Raises BlobMissing, ArtifactRefused, LogUnavailable."""
        counts = [each.position > terms.after and each.batch.time > terms.since for each in labelled]
        if not any(counts):
            return None
        await self._load(terms.artifacts)
        active, other = (self._loaded[artifact] for artifact in terms.artifacts)
        return await asyncio.to_thread(_answers, active, other, labelled, counts)

    async def _load(self, hashes: tuple[str, str]) -> None:
        self._loaded = {hash: fitted for hash, fitted in self._loaded.items() if hash in hashes}
        for hash in hashes:
            if hash not in self._loaded:
                content = await self._blobs.get(hash)
                self._loaded[hash] = await asyncio.to_thread(artifacts.load, content)


def _answers(active: Fitted, other: Fitted, labelled: Sequence[Labelled], counts: Sequence[bool]) -> Answers:
    rows = [each.batch.rows[each.row] for each, counts_too in zip(labelled, counts, strict=True) if counts_too]
    found: list[list[str | None]] = []
    for fitted in (active, other):
        said: list[str] = []
        for at in range(0, len(rows), _AT_ONCE):
            said += fitted.predict(rows[at : at + _AT_ONCE])[0]
        saying = iter(said)
        found.append([next(saying) if counts_too else None for counts_too in counts])
    return Answers(*found)
