"""Models that are really trained, served and labelled, on a real log, with observers beside them."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from contextlib import asynccontextmanager

import msgspec
import numpy as np

from domain import dataset, experiment, model, monitor
from domain.model_policy import Gate, ModelPolicy, Monitoring
from domain.pipeline import Feature, Pipeline
from eventstore.blobs import Blobs
from eventstore.envelope import StreamId
from eventstore.tasks import end_tasks
from handlers.command import Caller, CommandRequest, Directive
from models.data.tables import from_parquet, to_parquet
from models.learn import artifacts, fitting
from models.learn.training import TrainingTask
from models.observe.observer import Observer
from models.observe.observing import Pace
from models.serve.predictions import Predictions
from models.serve.served import ServedVersion
from sagacity.wiring import open_core
from tests.eventstore.log import until

FEATURES = (Feature("x"), Feature("city", "category"))
KINDS = {"x": "number", "city": "category", "y": "category"}
QUICK = Pace(gather=0.05, longest=0.05, standby=0.4, retry=0.05, most=0.2)
PATIENT = ModelPolicy(monitoring=Monitoring(window=100, retrain_on=()))
ME = Caller(actor="ann")


class World:
    """Rows come from one seed: `y` is "1" where x > 0, but for one row in ten; when the world has `changed`, it is
    the other way round."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self.changed = False
        self.shift = 0.0

    def rows(self, count: int) -> tuple[list[list], list[str]]:
        x = self._random.normal(self.shift, 1, count)
        city = self._random.choice(["oslo", "rome"], count)
        odd = self._random.random(count) < 0.1
        y = (x > 0) ^ odd ^ self.changed
        rows = [[float(a), str(b)] for a, b in zip(x, city, strict=True)]
        rows[0][1] = None
        return rows, ["1" if each else "0" for each in y]


class Watched:
    """A model of the test's own."""

    def __init__(self, core, predictions: Predictions, seed: int) -> None:
        self.core, self.predictions, self.blobs = core, predictions, Blobs(core.connection)
        self.id = f"m-{uuid.uuid4().hex[:8]}"
        self.world = World(seed)
        self.served: ServedVersion | None = None

    async def register(self, policy: ModelPolicy = PATIENT) -> None:
        await self.tell("model", self.id, model.Register("Watched", FEATURES, "y", policy=policy))

    async def train(self, rows: int = 400, *, sabotaged: bool = False) -> str:
        """The next version, not in use yet; a sabotaged one has learnt the opposite."""
        content, dataset_id = await self._dataset(rows, sabotaged=sabotaged)
        pipeline = Pipeline("decision_tree", {"max_depth": 2})
        await self.tell("model", self.id, model.Retrain(dataset_id, pipeline=pipeline))
        version = await self._add(content, dataset_id)
        await self.tell("model", self.id, model.ReleaseTraining(f"{self.id}-{version}"))
        return version

    async def train_as_asked(self) -> str:
        """The version of the training that is under way; it stays so."""
        return await self._add(*await self._dataset(400))

    async def _dataset(self, rows: int, *, sabotaged: bool = False) -> tuple[str, str]:
        """Its content and id."""
        values, labels = self.world.rows(rows)
        if sabotaged:
            labels = ["0" if label == "1" else "1" for label in labels]
        columns = {"x": [row[0] for row in values], "city": [row[1] for row in values], "y": labels}
        data = to_parquet(columns, KINDS)
        content, dataset_id = await self.blobs.put(data), uuid.uuid4().hex
        columns_of = tuple(dataset.Column(name, kind, 0, 2) for name, kind in KINDS.items())
        registered = dataset.Register("rows", "upload", content, len(data), rows, "y", columns_of, 1.0)
        await self.tell("dataset", dataset_id, registered)
        return content, dataset_id

    async def _add(self, content: str, dataset_id: str) -> str:
        known, data = await self.known(), await self.blobs.get(content)
        version, experiment_id = str(known.reserved), str(known.training)
        opened = (await self.core.aggregates.load(experiment.experiment, experiment_id, latest=True)).state.requested
        training = opened.policy.training
        task = TrainingTask(
            content, opened.features, opened.target, opened.pipeline, opened.seed, training.holdout, training.split
        )
        trained, artifact = await asyncio.to_thread(fitting.train, task, data)
        held_out = fitting.holdout(task, data)
        said = artifacts.load(artifact).predict(list(zip(*held_out.columns, strict=True)))[0]
        wrong = sum(a != b for a, b in zip(said, held_out.labels, strict=True))
        added = model.AddVersion(
            version,
            experiment_id,
            await self.blobs.put(artifact),
            dataset_id,
            content,
            trained.training_samples,
            trained.classes,
            {},
            model.Holdout(len(said), wrong),
        )
        await self.tell("model", self.id, added)
        return version

    async def promote(self, version: str) -> None:
        await self.tell("model", self.id, model.Promote(version))
        self.served = await self.version(version)

    async def version(self, version: str) -> ServedVersion:
        artifact = (await self.known()).versions[version].artifact
        fitted = artifacts.load(await self.blobs.get(artifact))
        return ServedVersion(self.id, version, fitted, self.predictions)

    async def known(self) -> model.Known:
        return (await self.core.aggregates.load(model.model, self.id, latest=True)).state

    async def predict(self, count: int, by: ServedVersion | None = None) -> list[tuple[str, str]]:
        """Ids of predictions, and what would have been right."""
        rows, labels = self.world.rows(count)
        answer = await (by or self.served).predict(rows)
        return list(zip(answer.ids, labels, strict=True))

    async def label(self, pairs: Sequence[tuple[str, str]]) -> None:
        data = msgspec.json.encode({"labels": [{"prediction": id, "label": label} for id, label in pairs]})
        request = CommandRequest(type="monitor.record_labels", stream_id=self.id, data=data)
        assert (await self.core.handler.handle(request, ME)).outcome == "accepted"

    async def use(self, count: int) -> None:
        await self.label(await self.predict(count))

    async def tell(self, category: str, id: str, *commands: msgspec.Struct) -> None:
        for command in commands:
            directive = Directive(id=uuid.uuid4().hex, category=category, stream_id=id, command=command)
            (outcome,) = await self.core.handler.direct([directive], ME)
            assert outcome.outcome == "accepted", outcome

    async def events(self, *kinds: type, category: str = "monitor") -> list:
        found = await self.core.store.load(StreamId(category, self.id), latest=True)
        return [data for data in map(self.core.store.decode, found) if not kinds or isinstance(data, kinds)]

    async def state(self):
        return (await self.core.aggregates.load(monitor.monitor, self.id, latest=True)).state

    async def until(self, right, seconds: float = 20.0):
        """The state of the monitor, once it is so."""

        async def is_right() -> bool:
            state = await self.state()
            return isinstance(state, monitor.Watching) and right(state)

        await until(is_right, seconds)
        return await self.state()

    async def observed(self, inputs: int | None = None, outcomes: int | None = None) -> None:
        """So many rows in all, since ever."""

        async def all_seen() -> bool:
            kinds = ((monitor.InputsObserved, inputs), (monitor.OutcomesObserved, outcomes))
            sums = [(sum(each.rows for each in await self.events(kind)), wanted) for kind, wanted in kinds]
            assert all(wanted is None or found <= wanted for found, wanted in sums), sums
            return all(wanted in (None, found) for found, wanted in sums)

        await until(all_seen)

    async def rows_of(self, kind: type) -> dict[str, list]:
        """Those of all observations, as they are stored."""
        joined: dict[str, list] = {}
        for each in await self.events(kind):
            if each.content is not None:
                for name, values in from_parquet(await self.blobs.get(each.content))[0].items():
                    joined.setdefault(name, []).extend(values)
        return joined

    async def in_use(self, policy: ModelPolicy = PATIENT) -> None:
        """Trained, promoted and watched by nobody yet."""
        await self.register(policy)
        await self.promote(await self.train())


@asynccontextmanager
async def watched(url: str, seed: int = 1):
    async with open_core(url) as core:
        predictions = Predictions(core.connection)
        try:
            yield Watched(core, predictions, seed)
        finally:
            await predictions.close()


@asynccontextmanager
async def observer(url: str, *, pace: Pace = QUICK):
    """One in a process of its own, as far as the log can tell: it has a connection of its own."""
    async with open_core(url, name="observer") as core:

        async def report(category, id, command, command_id):
            directive = Directive(id=command_id, category=category, stream_id=id, command=command)
            (outcome,) = await core.handler.direct([directive], Caller(actor="observer"))
            return outcome.refusal

        predictions = Predictions(core.connection)
        watching = Observer(core.store, core.aggregates, Blobs(core.connection), predictions, report, pace)
        running = asyncio.create_task(watching.run())
        try:
            yield watching
            assert not running.done(), running.result()
        finally:
            await end_tasks(running)


async def drifted(url: str) -> str:
    """A model whose world changes: its inputs shift, it errs more often, another version is better and comes into use.

    The training that its policy asks for is carried out by the test.
    """
    monitoring = Monitoring(window=100, retrain_on=("errors",))
    async with watched(url, seed=5) as m, observer(url):
        await m.in_use(ModelPolicy(monitoring=monitoring, gate=Gate(odds=20)))
        await m.use(120)
        await m.observed(120, 120)
        m.world.changed, m.world.shift = True, 1.0
        for total in (170, 220):
            await m.use(50)
            await m.observed(total, total)

        async def is_asked_for() -> bool:
            return (await m.known()).training is not None

        await until(is_asked_for)
        other = await m.train_as_asked()
        experiment_id = (await m.known()).versions[other].experiment_id
        await m.tell("model", m.id, model.StartComparison(experiment_id, "shadow", other))
        for total in (235, 250, 265):
            await m.use(15)
            await m.observed(total, total)
        await m.tell("model", m.id, model.EndComparison(experiment_id))
        await m.tell("model", m.id, model.PromoteChallenger(experiment_id, other, "1", "better"))
        await m.tell("model", m.id, model.ReleaseTraining(experiment_id, other))
        m.served = await m.version(other)
        await m.until(lambda state: state.beginnings == 2)
        m.world.shift = -1.0
        await m.use(120)
        await m.observed(385, 385)
        return m.id
