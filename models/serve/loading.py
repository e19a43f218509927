"""Versions of models, from their artifacts to what answers: each is loaded once, however many want it."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from time import monotonic
from typing import Final

from domain import model
from eventstore.blobs import Blobs
from eventstore.errors import LogUnavailable
from eventstore.tasks import end_tasks
from models.serve.errors import ArtifactRefused, VersionUnusable
from models.serve.predictions import Predictions
from models.serve.served import ServedVersion

_PAUSE: Final = 0.5
"""Seconds for which a version that cannot be loaded is not tried again."""

_Key = tuple[str, str]


class LoadedVersions:
    """Keeps the last few at hand, at most `capacity`. Safe for any number of concurrent callers."""

    def __init__(self, blobs: Blobs, predictions: Predictions, capacity: int) -> None:
        self._blobs = blobs
        self._predictions = predictions
        self._capacity = capacity
        self._at_hand: OrderedDict[_Key, ServedVersion] = OrderedDict()
        self._loading: dict[_Key, asyncio.Task[ServedVersion]] = {}
        self._failed: dict[_Key, tuple[float, VersionUnusable]] = {}

    async def close(self) -> None:
        await end_tasks(*self._loading.values())

    async def get(self, model_id: str, version: str, known: model.Known) -> ServedVersion:
        """A version that the model has. Raises VersionUnusable, LogUnavailable."""
        key = model_id, version
        found = self._at_hand.get(key)
        if found is not None:
            self._at_hand.move_to_end(key)
            return found
        again, failure = self._failed.get(key, (0.0, None))
        if failure is not None and monotonic() < again:
            raise failure
        if key not in self._loading:
            loading = asyncio.create_task(self._load(model_id, version, known))
            self._loading[key] = loading
            loading.add_done_callback(lambda ended: self._ended(key, ended))
        return await asyncio.shield(self._loading[key])

    def keep(self, served: ServedVersion) -> None:
        self._at_hand[served.model_id, served.version] = served
        while len(self._at_hand) > self._capacity:
            self._at_hand.popitem(last=False)

    def release(self, served: ServedVersion) -> None:
        """Somebody else keeps it from now on."""
        self._at_hand.pop((served.model_id, served.version), None)

    def _ended(self, key: _Key, ended: asyncio.Task[ServedVersion]) -> None:
        del self._loading[key]
        if ended.cancelled():
            return
        error = ended.exception()
        if isinstance(error, VersionUnusable):
            self._failed[key] = monotonic() + _PAUSE, error
        elif error is None:
            self._failed.pop(key, None)
            self.keep(ended.result())

    async def _load(self, model_id: str, version: str, known: model.Known) -> ServedVersion:
        try:
            content = await self._blobs.get(known.versions[version].artifact)
            return await asyncio.to_thread(self._opened, content, model_id, version, known)
        except LogUnavailable:
            raise
        except Exception as error:  # whatever is wrong with one artifact, the other versions have no part in it
            raise VersionUnusable(f"version {version} of the model {model_id} cannot be loaded: {error}") from error

    def _opened(self, content: bytes, model_id: str, version: str, known: model.Known) -> ServedVersion:
        from models.learn.artifacts import load  # scikit-learn takes seconds to import: not before there is a model

        fitted = load(content)
        if fitted.features != known.features:
            raise ArtifactRefused("it has other features than the model")
        return ServedVersion(model_id, version, fitted, self._predictions)
