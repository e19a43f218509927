"""A model and its retrainings on the real log, runner and blobs, really trained; labels and verdicts are told."""

import asyncio
import contextlib
import hashlib
import time
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from domain import dataset, experiment, model, monitor, saga
from domain.contexts import DECIDERS
from domain.drift import Thresholds
from domain.gate import Pairs, judge
from domain.model import Holdout
from domain.model_policy import Monitoring
from domain.pipeline import Feature
from eventstore.blobs import Blobs
from eventstore.envelope import StreamId, new_id, now
from eventstore.errors import LogUnavailable
from eventstore.tasks import end_tasks
from handlers.command import Caller, CommandRequest, Directive
from models.data.datasets import from_columns
from models.data.generating import two_features
from models.data.tables import from_parquet, to_parquet
from models.learn import artifacts, evaluation, fitting, training
from models.observe.joining import Labelled
from models.observe.observations import of_outcomes
from models.serve.predictions import PredictionBatch
from sagacity.wiring import open_core, teller
from sagas.rollout import RetryPolicy
from sagas.runner import SagaRunner
from sagas.training_steps import retraining_saga

ME = Caller(actor="ann")
FEATURES = ({"name": "feature1"}, {"name": "feature2"})
DECIDER = {decider.category: decider for decider in DECIDERS}
RETRIES = RetryPolicy(attempts=3, first=0.02, longest=0.05)
TREE = {"algorithm": "decision_tree", "parameters": {"max_depth": 1}}
"""Good enough to be used, and worse than the default pipeline on these rows."""


def table(rows, seed, *, inverted=False):
    columns, kinds = two_features(rows, seed)
    if inverted:
        columns["target"] = ["0" if label == "1" else "1" for label in columns["target"]]
    return columns, kinds


def trainings_of(parent):
    """Pids of the training processes that run for this one."""
    found = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            command = process.read_bytes().decode(errors="replace").split("\0")
            if training.PROCESS in command and str(parent) in command:
                found.append(int(process.parent.name))
    return found


async def patiently(call, timeout=30.0):
    """Its answer; again, while the log's server is away."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            return await call()
        except LogUnavailable:
            assert time.monotonic() < deadline, "the log does not come back"
            await asyncio.sleep(0.1)


class Workshop:
    """Real trainings and evaluations: in a process each, or here, where each is made once however many stories want
    the same. `before` may hold them up."""

    made = {}

    def __init__(self, *, processes=False):
        self.processes = processes
        self.before = None

    async def train(self, task, data, *, timeout):
        await self._ready("train")
        if self.processes:
            return await training.train(task, data, timeout=timeout)
        return await self._once(lambda: fitting.train(task, data), "train", task, data)

    async def evaluate(self, artifact, champion, task, data, *, timeout):
        await self._ready("evaluate")
        if self.processes:
            return await training.evaluate(artifact, champion, task, data, timeout=timeout)
        return await self._once(lambda: _evaluated(artifact, champion, task, data), artifact, champion, task, data)

    async def _ready(self, what):
        if self.before is not None:
            await self.before(what)

    async def _once(self, make, *given):
        key = hashlib.sha256(repr(given).encode()).hexdigest()
        if key not in self.made:
            self.made[key] = await asyncio.to_thread(make)
        return self.made[key]


def _evaluated(artifact, champion, task, data):
    other = artifacts.load(champion) if champion is not None else None
    return evaluation.evaluate(artifacts.load(artifact), other, fitting.holdout(task, data))


class ModelStory:
    """One model; its experiments are called `<name>-1`, `<name>-2` and so on."""

    def __init__(self, core, name, *, processes=False):
        self.core, self.name = core, name
        self.blobs = Blobs(core.connection)
        self.workshop = Workshop(processes=processes)
        self.tell_before = None
        self.tell_after = None
        self.contents = []

    async def command(self, type, stream, data=None):
        request = CommandRequest(type=type, stream_id=stream, data=msgspec.json.encode(data or {}))
        return await self.core.handler.handle(request, ME)

    async def direct(self, category, id, command):
        directive = Directive(id=new_id(), category=category, stream_id=id, command=command)
        [outcome] = await patiently(lambda: self.core.handler.direct([directive], ME))
        assert outcome.outcome == "accepted", outcome

    async def register(self, **policy):
        about = {"name": self.name, "features": FEATURES, "target": "target", "policy": policy}
        assert (await self.command("model.register", self.name, about)).outcome == "accepted"

    async def dataset(self, id, columns, kinds):
        made = from_columns(columns, kinds)
        content = await patiently(lambda: self.blobs.put(made.content))
        about = (id, "upload", content, len(made.content), made.samples, "target", made.columns, made.quality_score)
        await self.direct("dataset", id, dataset.Register(*about))

    async def retrain(self, **request):
        asked = await self.command("model.retrain", self.name, request)
        assert asked.outcome == "accepted", asked

    async def trained_first(self, pipeline=None):
        """Version 1, in use and monitored."""
        await self.dataset(f"{self.name}-rows", *table(400, 1))
        await self.retrain(dataset_id=f"{self.name}-rows", pipeline=pipeline)
        assert await self.outcome(1) == "promoted"
        begin = monitor.Begin(
            version="1",
            reference="a" * 64,
            holdout=Holdout(1, 0),
            monitoring=Monitoring(),
            thresholds=Thresholds(1, 1, 0.1, 0.1),
            policy_version="test/1",
            after=0,
        )
        await self.direct("monitor", self.name, begin)

    async def second(self, *, inverted=False, rows=600, seed=2):
        """Version 2 is on its way, on rows of another seed."""
        await self.dataset(f"{self.name}-more", *table(rows, seed, inverted=inverted))
        await self.retrain(dataset_id=f"{self.name}-more")

    async def label(self, rows, seed, *, compared=None):
        """Labelled predictions, as the observer reports them."""
        number = len(self.contents) + 1
        columns, _ = table(rows, seed)
        values = list(zip(columns["feature1"], columns["feature2"], strict=True))
        batch = PredictionBatch(f"b{number}", self.name, "1", now(), values, ["1"] * rows, [1.0] * rows)
        labelled = [Labelled(f"{batch.id}.{row}", batch, row, columns["target"][row], 0) for row in range(rows)]
        observed = of_outcomes(labelled, [Feature(**each) for each in FEATURES], None)
        content = await patiently(lambda: self.blobs.put(to_parquet(*observed)))
        self.contents.append(content)
        await self.direct(
            "monitor",
            self.name,
            monitor.ObserveOutcomes(
                beginning=1,
                labels_from=number,
                labels_to=number,
                rows=rows,
                wrong=columns["target"].count("0"),
                of_version=rows,
                unmatched=0,
                content=content,
                compared=compared,
            ),
        )

    async def compare(self, kind, *, rows=400, seed=9, inverted=False):
        """Both versions answer the same new rows; what comes of it is reported as the observer would."""
        known = (await self.state("model", self.name)).versions
        active, other = ("1", "2") if kind == "shadow" else ("2", "1")
        columns, _ = table(rows, seed, inverted=inverted)
        right = [await self._right(known[version].artifact, columns) for version in (active, other)]
        pairs = list(zip(*right, strict=True))
        counts = [pairs.count(each) for each in ((True, True), (True, False), (False, True), (False, False))]
        compared = monitor.Compared(f"{self.name}-2", kind, other, judge(Pairs(*counts), 20))
        await self.label(rows, seed, compared=compared)

    async def _right(self, artifact, columns):
        fitted = artifacts.load(await patiently(lambda: self.blobs.get(artifact)))
        answers, _ = fitted.predict(list(zip(columns["feature1"], columns["feature2"], strict=True)))
        return [answer == label for answer, label in zip(answers, columns["target"], strict=True)]

    async def state(self, category, id):
        return DECIDER[category].fold(await self.events(category, id))

    async def events(self, category, id):
        stored = await self.core.store.load(StreamId(category, id), latest=True)
        return [self.core.store.decode(event) for event in stored]

    async def saga(self, number):
        return await self.state("saga", f"retraining-{self.name}-{number}")

    async def under_way(self, number, step):
        return await self.until(lambda: self.saga(number), lambda state: getattr(state, "step", None) == step)

    async def outcome(self, number):
        """Of the experiment, when its saga has ended, too."""
        await self.until(lambda: self.saga(number), lambda state: isinstance(state, saga.Ended))
        return (await self.state("experiment", f"{self.name}-{number}")).outcome

    async def reason(self, number):
        return (await self.events("experiment", f"{self.name}-{number}"))[-1].reason

    async def until(self, look, right, timeout=60.0):
        deadline = time.monotonic() + timeout
        while not right(seen := await patiently(look)):
            assert time.monotonic() < deadline, seen
            await asyncio.sleep(0.02)
        return seen

    async def assert_settled(self, number, outcome, *, active):
        """In every place: the saga, the experiment, the model, and what is stored."""
        assert await self.outcome(number) == outcome, await self.reason(number)
        ended = await self.saga(number)
        assert not {effect.status for effect in ended.effects} & saga.OPEN
        assert ended.outcome == ("completed" if outcome == "promoted" else "compensated")
        known = await self.state("model", self.name)
        assert (known.active, known.training, known.comparison) == (active, None, None)
        added = known.versions.get(str(number))
        assert added is None or added.discarded == (outcome != "promoted")
        events = await self.events("experiment", f"{self.name}-{number}")
        assert [isinstance(event, experiment.Concluded) for event in events].count(True) == 1
        for event in events:
            if isinstance(event, experiment.Trained):
                content = await self.blobs.get(event.artifact)
                assert hashlib.sha256(content).hexdigest() == event.artifact

    async def promotions(self):
        events = await self.events("model", self.name)
        changes = [event for event in events if isinstance(event, model.Promoted | model.RolledBack)]
        return [(type(event).__name__, event.previous, event.version) for event in changes]

    async def rows_of(self, id):
        content = (await self.state("dataset", id)).registered.content
        return from_parquet(await self.blobs.get(content))


@asynccontextmanager
async def told(url, name, *, processes=False):
    async with open_core(url) as core:
        story = ModelStory(core, name, processes=processes)
        async with running(story):
            yield story


@asynccontextmanager
async def running(story):
    """A saga runner, until the end of the block: then its tasks are cancelled as in a crash of its process."""
    core, tell = story.core, teller(story.core.handler, story.core.store)

    async def tell_in_between(commands, ids, also, context):
        if story.tell_before is not None:
            await story.tell_before(also)
        await tell(commands, ids, also, context)
        if story.tell_after is not None:
            await story.tell_after(also)

    workshop = story.workshop
    definition = retraining_saga(
        core.store,
        core.aggregates,
        story.blobs,
        RETRIES,
        train=workshop.train,
        evaluate=workshop.evaluate,
        look_again=0.05,
    )
    runner = SagaRunner(core.store, tell_in_between, [definition], ack_wait=1.0)
    task = asyncio.create_task(runner.run())
    try:
        yield
        assert not task.done(), "the runner has ended"
    finally:
        await end_tasks(task)
