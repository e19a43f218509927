"""One model that is watched: another reference whenever another version comes into use, and from then on its inputs,
its outcomes, and whether it is to be trained again."""

from __future__ import annotations

import asyncio
import contextlib
import logging

from domain import model, monitor
from eventstore.envelope import Recorded, now
from eventstore.tasks import end_tasks
from models.observe.asking import Asked, asks, due, later, wanted
from models.observe.following import Followed, follow
from models.observe.observing import Overtaken, Sources, persist
from models.observe.recalling import Recalled, recall
from models.observe.referencing import beginning
from models.observe.watching_inputs import stand_by_for_inputs, watch_inputs
from models.observe.watching_outcomes import Outcomes, stand_by_for_labels

log = logging.getLogger(__name__)


class ModelWatch:
    """`follow` and `hear` tell it what is written of the model and of its monitor; `run` does the work."""

    def __init__(self, model_id: str, sources: Sources) -> None:
        self._id = model_id
        self._sources = sources
        self._followed = Followed()
        self._turned = asyncio.Event()
        self._labelled = asyncio.Event()
        self._news = asyncio.Event()
        self._drift: monitor.Judged | None = None
        """The last one that asks for a training."""

    def follow(self, event: Recorded, data: model.Event) -> None:
        before = self._followed.turn
        self._followed = follow(self._followed, event, data)
        if self._followed.turn != before:
            self._turned.set()
        self._news.set()

    def hear(self, data: monitor.LabelsRecorded | monitor.Judged) -> None:
        match data:
            case monitor.LabelsRecorded():
                self._labelled.set()
            case monitor.Judged():
                if later(data, self._drift) and asks(self._followed, data):
                    self._drift = data
                    self._news.set()

    async def run(self) -> None:
        """For ever, whatever goes wrong."""
        while True:
            self._turned.clear()
            self._drift = None
            watching = asyncio.create_task(self._watch())
            turned = asyncio.create_task(self._turned.wait())
            try:
                await asyncio.wait({turned})
            finally:
                await end_tasks(watching, turned)

    async def _watch(self) -> None:
        known = self._followed.known
        if known is None:
            return
        pace, name = self._sources.pace, f"the watch of model {self._id}"
        await persist(name, self._begin, pace)
        work = [
            asyncio.create_task(persist(f"{name} ({part})", each, pace))
            for part, each in (("inputs", self._inputs), ("outcomes", self._outcomes), ("trainings", self._trainings))
        ]
        try:
            await asyncio.wait(work)
        finally:
            await end_tasks(*work)

    async def _begin(self) -> None:
        known, turn = self._followed.known, self._followed.turn
        _, state = await self._sources.aggregates.load(monitor.monitor, self._id, latest=True)
        inputs_to, beginnings = _reached(state)
        last = await self._sources.predictions.last()
        if known is None or turn is None or (inputs_to <= last and await self._recall() is not None):
            return
        # Where the stream of predictions was lost, its positions have begun anew.
        command = await beginning(self._sources, known, min(inputs_to, last), turn.version)
        await self._sources.observe(self._id, command, f"begin-{self._id}-{turn.version}-{beginnings}")
        if await self._recall() is None:
            raise Overtaken("a later version is watched already")
        log.info("version %s of model %s is watched", known.active, self._id)

    async def _recall(self) -> Recalled | None:
        return await recall(self._sources, self._id, self._followed)

    async def _inputs(self) -> None:
        while True:
            with contextlib.suppress(Overtaken):
                recalled, known = await self._begun()
                await watch_inputs(self._sources, self._id, known.features, recalled)
            await stand_by_for_inputs(self._sources, self._id)

    async def _outcomes(self) -> None:
        while True:
            with contextlib.suppress(Overtaken):
                recalled, known = await self._begun()
                outcomes = Outcomes(self._sources, self._id, known.features, lambda: self._followed)
                await outcomes.watch(recalled, self._labelled)
            await stand_by_for_labels(self._sources, self._id, self._labelled)

    async def _begun(self) -> tuple[Recalled, model.Known]:
        """Raises Overtaken, and what recalling raises."""
        recalled, known = await self._recall(), self._followed.known
        if recalled is None or known is None:
            raise Overtaken("a later version is watched already")
        return recalled, known

    async def _trainings(self) -> None:
        """Asked for again after a restart: the ids are the same, so that nothing happens twice."""
        recalled, _ = await self._begun()
        for judged in recalled.drift:
            self.hear(judged)
        asked: set[str] = set()
        while True:
            self._news.clear()
            for each in wanted(self._id, self._followed, self._drift, now()):
                if each.id not in asked:
                    await self._ask(each)
                    asked.add(each.id)
            await self._next_look()

    async def _ask(self, asked: Asked) -> None:
        refused = await self._sources.report(model.model.category, self._id, asked.command, asked.id)
        outcome = "is asked for" if refused is None else f"is refused ({refused})"
        log.info("a training of model %s %s: %s", self._id, outcome, asked.command.reason)

    async def _next_look(self) -> None:
        """At news, or when the schedule says so."""
        at, moment = due(self._followed), now()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout((at - moment).total_seconds() if at is not None and at > moment else None):
                await self._news.wait()


def _reached(state: monitor.State) -> tuple[int, int]:
    """How far predictions were read, and how often another version was begun with."""
    match state:
        case monitor.Idle():
            return 0, 0
        case monitor.Watching(inputs_to=inputs_to, beginnings=beginnings):
            return inputs_to, beginnings
