"""From drift to another version, with a fifth of the trainings sabotaged: their labels are shuffled.

Trainings, evaluations, the detector of errors and the gate are the product's; only the log, the queues and the time in
between are left out. Labels come in hundreds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from benchmarks.drift_worlds import World
from domain.model import Holdout
from domain.model_policy import Budget, ModelPolicy, Monitoring
from domain.pipeline import Feature, Pipeline
from models.data import tables
from models.learn import artifacts
from models.learn.evaluation import answers, evaluate
from models.learn.fitting import Labelled, holdout, train
from models.learn.training import TrainingTask

POLICY: Final = ModelPolicy(monitoring=Monitoring(Budget(1, 365)))
"""The default, but for one false alarm a year."""
TREE: Final = Pipeline("decision_tree", {"max_depth": 6})
SABOTAGED: Final = 0.2
BATCH: Final = 100
HARM: Final = 0.005
SEEN_AFTER: Final = 1_000

Right = NDArray[np.bool_]


@dataclass(frozen=True)
class Version:
    """`right` on each row of the world, known or not yet."""

    right: Right
    holdout: Holdout
    useless: bool
    """No better than naming the most common class."""


@dataclass
class Tally:
    rows: int = 0
    wrong: int = 0
    trainings: int = 0
    promotions: int = 0
    harmful: int = 0
    rolled_back: int = 0


@dataclass
class Course:
    """A model in a world. `held_out` is the part of the rows that a training does not see."""

    world: World
    rng: Generator
    held_out: float
    tally: Tally = field(default_factory=Tally)

    def first(self) -> Version:
        return self._trained(0, self.world.known, 0.3, self.world.labels)

    def retrained(self, row: int) -> Version:
        """On the latest rows before this one."""
        self.tally.trainings += 1
        first = row - min(POLICY.training.rows, row)
        labels = self.world.labels.copy()
        if self.rng.random() < SABOTAGED:
            labels[first:row] = self.rng.permutation(labels[first:row])
        return self._trained(first, row, self.held_out, labels)

    def promoted(self, row: int, version: Version, before: Version) -> Version:
        self.tally.promotions += 1
        seen = slice(row, row + SEEN_AFTER)
        self.tally.harmful += bool(version.right[seen].mean() < before.right[seen].mean() - HARM)
        return version

    def answered(self, right: Right) -> None:
        self.tally.rows += len(right)
        self.tally.wrong += int((~right).sum())

    def _trained(self, first: int, last: int, held_out: float, labels: NDArray[np.int64]) -> Version:
        features = tuple(Feature(f"x{number}") for number in range(self.world.rows.shape[1]))
        data = _parquet(self.world.rows[first:last], labels[first:last])
        task = TrainingTask(sha256(data).hexdigest(), features, "label", TREE, 0, held_out, "random")
        _, artifact = train(task, data)
        fitted = artifacts.load(artifact)
        evaluated = evaluate(fitted, None, holdout(task, data))
        columns: list[list[float | str | None]] = [column.tolist() for column in self.world.rows.T]
        right = answers(fitted, Labelled(columns, self.world.labels.astype(str).tolist())).right
        return Version(right, evaluated.holdout, evaluated.metrics["accuracy"] <= evaluated.metrics["majority"])


def _parquet(rows: NDArray[np.float64], labels: NDArray[np.int64]) -> bytes:
    names = [f"x{number}" for number in range(rows.shape[1])]
    columns: tables.Columns = {name: column.tolist() for name, column in zip(names, rows.T, strict=True)}
    kinds: tables.Kinds = dict.fromkeys(names, "number")
    columns["label"], kinds["label"] = list(labels.astype(str).tolist()), "category"
    return tables.to_parquet(columns, kinds)
