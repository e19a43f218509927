"""The versions in use, in memory, as the log says: a promotion is heard by every process that serves.

It loads the new version beside the old one, which goes on answering, and swaps the two between two batches.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from domain import model
from eventstore.aggregates import Aggregates
from eventstore.blobs import Blobs
from eventstore.envelope import Recorded, new_id
from eventstore.errors import LogFull, LogUnavailable
from eventstore.keeping_up import keep_up
from eventstore.store import EventStore
from eventstore.subjects import is_valid_id
from eventstore.tasks import end_tasks
from models.serve.errors import ModelNotChosen, NoActiveVersion, UnknownModel, VersionUnusable
from models.serve.loading import LoadedVersions
from models.serve.predictions import Predictions
from models.serve.rows import Row
from models.serve.served import Answer, ServedVersion, is_chosen

log = logging.getLogger(__name__)

_CATEGORY: Final = model.model.category
_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 15.0
_PATIENCE: Final = 5.0
"""Seconds."""


class Predictor:
    """One a process; `run` is to be running. `at_hand`: versions that are not in use and stay loaded."""

    def __init__(
        self, store: EventStore, aggregates: Aggregates, blobs: Blobs, predictions: Predictions, *, at_hand: int = 8
    ) -> None:
        self._store = store
        self._aggregates = aggregates
        self._loaded = LoadedVersions(blobs, predictions, at_hand)
        self._started = asyncio.Event()
        self._models: dict[str, model.Known] = {}
        self._changed: set[str] = set()
        self._in_use: dict[str, ServedVersion] = {}
        self._swaps: dict[str, tuple[str, asyncio.Task[None]]] = {}
        """By model: the version that is being brought into use, or was last."""

    async def run(self) -> None:
        """Follow the log until cancelled, whatever becomes of it."""
        try:
            await keep_up(self._store, _CATEGORY, self._take, self._bring_into_use)
        finally:
            await end_tasks(*(swap for _, swap in self._swaps.values()))
            await self._loaded.close()

    async def predict(self, served: ServedVersion, rows: list[Row], request_id: str | None = None) -> Answer:
        """By a version that `version` gave. Whether it is recorded depends on the request's id, where the policy
        records a part of the requests. Raises as `ServedVersion.predict`; LogFull while the log takes nothing."""
        known = self._models.get(served.model_id)
        share = 1.0 if known is None else known.policy.record
        recorded = share >= 1 or is_chosen(request_id or new_id(), share)
        if recorded and self._store.full is not None:  # predictions must not use up the log's reserve
            raise LogFull(self._store.full)
        return await served.predict(rows, recorded=recorded)

    async def version(self, model_id: str | None = None, version: str | None = None) -> ServedVersion:
        """The one in use, or a named one; of the only model that has one in use, if none is named.

        Raises UnknownModel, NoActiveVersion, ModelNotChosen, VersionUnusable, LogUnavailable.
        """
        if model_id is None:
            model_id = await self._only_in_use()
        served = self._in_use.get(model_id)
        if served is not None and version in (None, served.version):
            return served
        known = await self._known(model_id, version)
        wanted = version or known.active
        if wanted is None:
            raise NoActiveVersion(f"no version of the model {model_id} is in use")
        if wanted not in known.versions:
            raise UnknownModel(f"the model {model_id} has no version {wanted[:20]!r}")
        return await self._loaded.get(model_id, wanted, known)

    async def only(self) -> str:
        """The model, where there is just one. Raises UnknownModel, ModelNotChosen, LogUnavailable."""
        await self._all_known()
        if not self._models:
            raise UnknownModel("there is no model: register one, by the command model.register")
        return _the_only(list(self._models))

    async def check(self, model_id: str) -> None:
        """Raises UnknownModel, LogUnavailable."""
        if model_id not in self._models:
            await self._known(model_id, None)

    async def _only_in_use(self) -> str:
        await self._all_known()
        active = [id for id, known in self._models.items() if known.active is not None]
        if not active:
            raise NoActiveVersion("no model has a version in use")
        return _the_only(active)

    async def _all_known(self) -> None:
        if not self._started.is_set():
            try:
                await asyncio.wait_for(self._started.wait(), _PATIENCE)
            except TimeoutError as error:
                raise LogUnavailable("the models are not known yet") from error

    async def _known(self, model_id: str, version: str | None) -> model.Known:
        """What was written a moment ago may not have been heard of yet: then the log is asked."""
        known = self._models.get(model_id)
        if known is not None and (version or known.active) in known.versions:
            return known
        if not is_valid_id(model_id):
            raise UnknownModel(f"{model_id[:100]!r} is no id of a model")
        found = (await self._aggregates.load(model.model, model_id, latest=True)).state
        if isinstance(found, model.Unknown):
            raise UnknownModel(f"there is no model {model_id!r}")
        return found

    def _take(self, event: Recorded) -> None:
        state = model.evolve(self._models.get(event.stream.id, model.Unknown()), self._store.decode(event))
        if isinstance(state, model.Known):
            self._models[event.stream.id] = state
            self._changed.add(event.stream.id)

    async def _bring_into_use(self) -> None:
        while self._changed:
            self._follow(self._changed.pop())
        self._started.set()

    def _follow(self, id: str) -> None:
        """Bring the version into use that the log says is in use."""
        wanted, served = self._models[id].active, self._in_use.get(id)
        coming, swap = self._swaps.get(id, (None, None))
        if swap is not None and coming != wanted:
            swap.cancel()
            del self._swaps[id]
        if wanted is None:
            self._in_use.pop(id, None)
        elif (served is None or served.version != wanted) and id not in self._swaps:
            self._swaps[id] = wanted, asyncio.create_task(self._swap(id, wanted))

    async def _swap(self, id: str, version: str) -> None:
        served = await self._loaded_at_last(id, version)
        previous = self._in_use.get(id)
        self._in_use[id] = served
        self._loaded.release(served)
        if previous is not None:
            self._loaded.keep(previous)
        log.info("version %s of the model %s is served", version, id)

    async def _loaded_at_last(self, id: str, version: str) -> ServedVersion:
        pause, told = _PAUSE, ""
        while True:
            try:
                return await self._loaded.get(id, version, self._models[id])
            except (VersionUnusable, LogUnavailable) as error:
                if told != str(error):
                    log.error("version %s of the model %s is in use, but not served: %s", version, id, error)
                    told = str(error)
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)


def _the_only(ids: list[str]) -> str:
    if len(ids) > 1:
        raise ModelNotChosen(f'say "model": one of the {len(ids)}, such as {", ".join(sorted(ids)[:10])}')
    return ids[0]
