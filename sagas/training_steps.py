"""Carrying out the steps of a retraining saga: a dataset from what was observed, a training, an evaluation.

Every attempt ends in an outcome, never in an exception: the saga decides what it means. All of it can be done again:
the same data, pipeline and seed give the same artifact, which is stored under its hash.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any, Final, Protocol

from domain import dataset, experiment, model, saga
from domain.decider import Decider
from domain.experiment import Dataset, Evaluated, Trained
from eventstore.aggregates import Aggregates
from eventstore.blobs import BlobMissing, Blobs, BlobTooLarge
from eventstore.errors import LogUnavailable
from eventstore.store import EventStore
from models.data.tables import TableInvalid
from models.learn import training
from models.learn.training import TrainingFailed, TrainingTask, TrainingTimedOut
from models.observe.assembling import Assembled, LabelledRows, wanted
from sagas.definition import Done, Exhausted, Outcome, Perform, Rejected, SagaDefinition, Stumbled, Told
from sagas.experiment_course import Retraining, retraining_of
from sagas.retraining import KIND, listens, plan, react
from sagas.rollout import RetryPolicy

log = logging.getLogger(__name__)

_CATEGORIES: Final = ("experiment", "monitor", "model")
_PARTS: Final = 10
"""While rows are waited for it is recorded when another tenth of them has come, not at every look."""


class Train(Protocol):
    """As `models.learn.training.train`."""

    def __call__(self, task: TrainingTask, data: bytes, *, timeout: float) -> Awaitable[tuple[Trained, bytes]]: ...


class Evaluate(Protocol):
    """As `models.learn.training.evaluate`."""

    def __call__(
        self, artifact: bytes, champion: bytes | None, task: TrainingTask, data: bytes, *, timeout: float
    ) -> Awaitable[Evaluated]: ...


def retraining_saga(
    store: EventStore,
    aggregates: Aggregates,
    blobs: Blobs,
    retries: RetryPolicy,
    *,
    train: Train = training.train,
    evaluate: Evaluate = training.evaluate,
    look_again: float = 2.0,
    at_once: int = 2,
) -> SagaDefinition:
    """`look_again`: seconds between two looks for labelled rows, while too few have come. `at_once`: trainings and
    evaluations that run at a time; the others wait for their turn, which their step's time must suffice for."""
    rows, turns = LabelledRows(store, aggregates, blobs), asyncio.Semaphore(at_once)
    work = _Work(aggregates, blobs, rows, train, evaluate, look_again, turns)

    async def perform(state: saga.Running, what: Perform) -> Outcome:
        retraining = retraining_of(state)
        try:
            match what.step:
                case "assemble":
                    return await work.assemble(retraining, state, what)
                case "train":
                    return await work.train(retraining, what)
                case _:
                    return await work.evaluate(retraining, what)
        except BlobMissing as error:
            return Rejected(what, f"what was stored as {error} is not there any more")
        except (TrainingFailed, TrainingTimedOut, BlobTooLarge, TableInvalid) as error:
            return Rejected(what, str(error))
        except (LogUnavailable, OSError) as error:
            number = state.attempts + 1
            delay = retries.next(number)
            if delay is None:
                return Exhausted(what, f"{error} (after {number} attempts)")
            return Stumbled(what, number, delay, str(error))

    return SagaDefinition(KIND, _CATEGORIES, listens, plan, react, perform)


@dataclass(frozen=True)
class _Work:
    aggregates: Aggregates
    blobs: Blobs
    rows: LabelledRows
    run_training: Train
    run_evaluation: Evaluate
    look_again: float
    turns: asyncio.Semaphore

    async def assemble(self, retraining: Retraining, state: saga.Running, what: Perform) -> Outcome:
        """Waits as long as it must: the step's own time is what ends it. That the log is away only delays it."""
        while True:
            try:
                outcome = await self._look(retraining, state, what)
            except (LogUnavailable, OSError) as error:
                log.warning("%s waits for labelled rows: %s", retraining.experiment_id, error)
                outcome = None
            if outcome is not None:
                return outcome
            await asyncio.sleep(self.look_again)

    async def _look(self, retraining: Retraining, state: saga.Running, what: Perform) -> Outcome | None:
        """None: nothing to say that was not said before."""
        requested = retraining.requested
        seen = await self.rows.seen(requested.model_id)
        if seen.rows is None and requested.champion is None:
            return Rejected(what, "no version was ever in use, so no prediction has a label: name a dataset")
        assembled = await self.rows.assemble(requested, seen)
        if isinstance(assembled, Assembled):
            content = await self.blobs.put(assembled.dataset.content)
            return Done(what, f"{assembled.dataset.samples} rows", _assembled(retraining, assembled, content))
        least, there = wanted(requested).least, assembled.rows
        part = 1 + _PARTS * there // least
        if part <= state.attempts:
            return None
        return Stumbled(what, part, self.look_again, f"{there} of {least}")

    async def train(self, retraining: Retraining, what: Perform) -> Outcome:
        data = _dataset_of(retraining, await self._experiment(retraining))
        content = await self.blobs.get(data.content)
        limit = retraining.policy.training.timeout
        async with self.turns:
            trained, artifact = await self.run_training(_task(retraining, data), content, timeout=limit)
        hash = await self.blobs.put(artifact)
        told = retraining.tell_experiment(experiment.RecordTraining(trained))
        return Done(what, hash, (told,))

    async def evaluate(self, retraining: Retraining, what: Perform) -> Outcome:
        running = await self._experiment(retraining)
        data, trained = _dataset_of(retraining, running), _trained_of(retraining, running)
        content, artifact = await self.blobs.get(data.content), await self.blobs.get(trained.artifact)
        champion = retraining.requested.champion
        current = await self.blobs.get(champion.artifact) if champion else None
        limit = retraining.policy.training.timeout
        async with self.turns:
            evaluated = await self.run_evaluation(artifact, current, _task(retraining, data), content, timeout=limit)
        return Done(what, f"on {evaluated.holdout.rows} rows", _evaluated(retraining, data, trained, evaluated))

    async def _experiment(self, retraining: Retraining) -> experiment.State:
        """What the steps before have found out."""
        decider: Decider[Any, experiment.State, Any] = experiment.experiment
        return (await self.aggregates.load(decider, retraining.experiment_id, latest=True)).state


def _dataset_of(retraining: Retraining, known: experiment.State) -> Dataset:
    """Raises LogUnavailable: what was recorded with the step before is there as soon as the log is up to date."""
    assembled = known.dataset if isinstance(known, experiment.Running) else None
    data = retraining.requested.dataset or assembled
    if data is None:
        raise LogUnavailable(f"{retraining.experiment_id} has no dataset yet")
    return data


def _trained_of(retraining: Retraining, known: experiment.State) -> Trained:
    """Raises LogUnavailable likewise."""
    if not isinstance(known, experiment.Running) or known.trained is None:
        raise LogUnavailable(f"{retraining.experiment_id} has no training yet")
    return known.trained


def _task(retraining: Retraining, data: Dataset) -> TrainingTask:
    requested, rules = retraining.requested, retraining.policy.training
    return TrainingTask(
        content=data.content,
        features=requested.features,
        target=requested.target,
        pipeline=requested.pipeline,
        seed=requested.seed,
        holdout=rules.holdout,
        split=rules.split,
    )


def _assembled(retraining: Retraining, assembled: Assembled, content: str) -> tuple[Told, ...]:
    id, requested, rows = f"{retraining.experiment_id}-data", retraining.requested, assembled.dataset
    register = dataset.Register(
        f"labelled predictions of {requested.model_id}",
        "assembled",
        content,
        len(rows.content),
        rows.samples,
        requested.target,
        rows.columns,
        rows.quality_score,
        {
            "model": requested.model_id,
            "experiment": retraining.experiment_id,
            "first_row": assembled.first,
            "last_row": assembled.last,
        },
    )
    told = retraining.tell_experiment(experiment.RecordDataset(Dataset(id, content, rows.samples)))
    return Told(dataset.dataset.category, id, register), told


def _evaluated(retraining: Retraining, data: Dataset, trained: Trained, evaluated: Evaluated) -> tuple[Told, ...]:
    version = model.AddVersion(
        retraining.requested.version,
        retraining.experiment_id,
        trained.artifact,
        data.dataset_id,
        data.content,
        trained.training_samples,
        trained.classes,
        evaluated.metrics,
        evaluated.holdout,
    )
    return retraining.tell_experiment(experiment.RecordEvaluation(evaluated)), retraining.tell_model(version)
