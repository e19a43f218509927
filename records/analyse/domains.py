"""Which domain a record is of: the model `record-domains` says so, where one is in use; else one that is built in.

The one in use answers through the predictor, like any model: what it said is recorded, can be labelled, and is watched
for drift. The built-in one is trained from the shipped examples when it is first needed, once a process.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from time import monotonic
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from models.serve.errors import NoActiveVersion, NoPrediction, UnknownModel
from models.serve.rows import RowsInvalid
from models.serve.serving import Predictor
from records.analyse import learning

if TYPE_CHECKING:
    from models.learn.fitted import Fitted

log = logging.getLogger(__name__)

_SEED: Final = 0
_PAUSE: Final = 5.0
"""Seconds for which no model is looked for again where there was none."""


class Classification(Struct, frozen=True):
    """`candidates` are all domains with their probabilities, or just the one named where the model in use says no
    more. `prediction` is what a label for it refers to; empty when nothing is recorded."""

    domain: str
    confidence: float
    candidates: dict[str, float]
    classifier: str
    prediction: str = ""


class DomainClassifier:
    """Safe for any number of concurrent callers; one a process. Where a `predictor` is given, its `run` is running."""

    def __init__(self, predictor: Predictor | None = None) -> None:
        self._predictor = predictor
        self._look_again = 0.0
        self._builtin: asyncio.Task[Fitted] | None = None
        self._waiting: list[tuple[str, asyncio.Future[Classification]]] = []
        self._answering: asyncio.Task[None] | None = None

    async def classify(self, text: str, request_id: str | None = None) -> Classification:
        """Raises what recording a prediction raises: LogUnavailable, LogFull."""
        row = learning.read(text)
        if self._predictor is not None and monotonic() >= self._look_again:
            try:
                return await self._in_use(self._predictor, row, request_id)
            except (UnknownModel, NoActiveVersion):
                self._look_again = monotonic() + _PAUSE
            except (NoPrediction, RowsInvalid) as error:
                self._look_again = monotonic() + _PAUSE
                log.warning("the model %s does not answer, the built-in one does: %s", learning.MODEL, error)
        fitted = await self._trained()
        answer: asyncio.Future[Classification] = asyncio.get_running_loop().create_future()
        self._waiting.append((row, answer))
        if self._answering is None:
            self._answering = asyncio.create_task(self._answer(fitted))
        return await answer

    async def _in_use(self, predictor: Predictor, text: str, request_id: str | None) -> Classification:
        served = await predictor.version(learning.MODEL)
        rows = served.rows.one_of({learning.TEXT: text or None}, "")
        answer = await predictor.predict(served, rows, request_id)
        domain, confidence = answer.predictions[0], answer.confidences[0]
        prediction = answer.ids[0] if answer.ids else ""
        classifier = f"{learning.MODEL}-{served.version}"
        return Classification(domain, confidence, {domain: confidence}, classifier, prediction)

    async def _answer(self, fitted: Fitted) -> None:
        """What waits while others are answered is answered at once: for a text alone takes five times as long."""
        try:
            while self._waiting:
                asked, self._waiting = self._waiting, []
                found = await asyncio.to_thread(_classified, fitted, [row for row, _ in asked])
                for (_, answer), each in zip(asked, found, strict=True):
                    if not answer.done():
                        answer.set_result(each)
        finally:
            self._answering = None

    async def _trained(self) -> Fitted:
        if self._builtin is None:
            self._builtin = asyncio.create_task(asyncio.to_thread(builtin))
        return await asyncio.shield(self._builtin)


def builtin() -> Fitted:
    """Trained anew: the same examples give the same model. Blocks for some tenths of a second, and for the import of
    scikit-learn."""
    import numpy as np
    from threadpoolctl import threadpool_limits

    from models.learn.encoding import table
    from models.learn.fitted import Fitted
    from models.learn.pipelines import build

    known = learning.examples()
    pipeline = build(learning.PIPELINE, learning.FEATURES, _SEED)
    with threadpool_limits(1):
        pipeline.fit(  # pyright: ignore[reportUnknownMemberType]
            table([[each.text for each in known]], learning.FEATURES), np.array([each.domain for each in known])
        )
    return Fitted(learning.FEATURES, tuple(sorted({each.domain for each in known})), pipeline)


def _classified(fitted: Fitted, texts: Sequence[str]) -> list[Classification]:
    classifier, known = f"builtin-{learning.examples_hash()}", list[Classification]()
    for found in fitted.probabilities([[text] for text in texts]).round(6).tolist():
        candidates = dict(zip(fitted.classes, found, strict=True))
        domain = max(candidates, key=candidates.__getitem__)
        known.append(Classification(domain, candidates[domain], candidates, classifier))
    return known
