"""One training, in the process that calls: rows, split, pipeline, artifact. The same task and data, the same bytes."""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# scikit-learn has no types

from __future__ import annotations

import hashlib
import platform
from collections import Counter
from collections.abc import Sequence
from importlib.metadata import version
from math import ceil
from typing import Any, Final, NamedTuple

import numpy as np
from sklearn.model_selection import train_test_split
from threadpoolctl import threadpool_limits

from domain.experiment import Trained
from domain.pipeline import Algorithm, Feature, Value
from models.data import tables
from models.learn import artifacts, pipelines, texts
from models.learn.encoding import table
from models.learn.fitted import Fitted
from models.learn.training import TrainingTask

LIBRARIES: Final = ("numpy", "scipy", "scikit-learn", "skops", "pyarrow")
FEWEST_ROWS: Final = 10
MOST_CATEGORIES: Final = 1_000
"""Of one column: each becomes a column of its own."""
MOST_CELLS: Final = 200_000_000
"""Of the encoded rows, 8 bytes each."""


class TaskImpossible(Exception):
    """The data are not for this task."""


class Labelled(NamedTuple):
    """Rows whose label is known; one list a feature in `columns`."""

    columns: list[list[Value]]
    labels: list[str]

    def at(self, places: Sequence[int]) -> Labelled:
        return Labelled(
            [[column[place] for place in places] for column in self.columns], [self.labels[place] for place in places]
        )


MOST_CLASSES: Final = 1_000
"""A target with more is no category but an id, or a number."""


def train(task: TrainingTask, data: bytes) -> tuple[Trained, bytes]:
    """`duration_seconds` is left at 0. Raises TaskImpossible, TableInvalid, and ValueError of scikit-learn."""
    everything = rows(task, data)
    training, held_out = split(everything.labels, task)
    seen = everything.at(training)
    classes = sorted(set(seen.labels))
    if len(classes) < 2:
        raise TaskImpossible(f"the rows to train on are all of the class {classes[0]!r}")
    if len(classes) > MOST_CLASSES:
        raise TaskImpossible(f"{len(classes)} classes in {task.target!r}: at most {MOST_CLASSES}")
    _check_size(task, seen)
    pipeline = pipelines.build(task.pipeline, task.features, task.seed)
    with threadpool_limits(1):  # the order in which threads add up would be in the result
        pipeline.fit(table(seen.columns, task.features), np.array(seen.labels))
    artifact = artifacts.dump(Fitted(task.features, tuple(classes), pipeline))
    digest = hashlib.sha256(artifact).hexdigest()
    counts = len(training), len(held_out)
    return Trained(digest, len(artifact), tuple(classes), *counts, 0.0, libraries()), artifact


def holdout(task: TrainingTask, data: bytes) -> Labelled:
    """The rows that `train` does not train on. Raises TaskImpossible, TableInvalid."""
    everything = rows(task, data)
    return everything.at(split(everything.labels, task)[1])


def libraries() -> dict[str, str]:
    return {"python": platform.python_version(), **{name: version(name) for name in LIBRARIES}}


def rows(task: TrainingTask, data: bytes) -> Labelled:
    """Those with a label, in the order of the file. Raises TaskImpossible, TableInvalid."""
    if hashlib.sha256(data).hexdigest() != task.content:
        raise TaskImpossible("the data are not those that the task names")
    columns, kinds = tables.from_parquet(data)
    names = [feature.name for feature in task.features]
    faults = [f"there is no column {name!r}" for name in (*names, task.target) if name not in columns]
    faults += [
        f"the column {feature.name!r} holds categories, not numbers"
        for feature in task.features
        if feature.type == "number" and kinds.get(feature.name) == "category"
    ]
    if faults:
        raise TaskImpossible("; ".join(faults))
    labels = columns[task.target]
    labelled = [place for place, label in enumerate(labels) if label is not None]
    if len(labelled) < FEWEST_ROWS:
        raise TaskImpossible(f"{len(labelled)} rows have a label; at least {FEWEST_ROWS} are needed")
    found = Labelled(
        [[columns[name][place] for place in labelled] for name in names],
        tables.as_labels([labels[place] for place in labelled]),
    )
    if len(set(found.labels)) < 2:
        raise TaskImpossible(f"all rows are of the class {found.labels[0]!r}: there is nothing to tell apart")
    return found


def split(labels: Sequence[str], task: TrainingTask) -> tuple[list[int], list[int]]:
    """Places of the rows to train on and of those held out, both in order. By chance each class has its share of
    both, unless one is too rare for that."""
    held_out = min(max(ceil(len(labels) * task.holdout), 1), len(labels) - 1)
    everything = np.arange(len(labels))
    if task.split == "time":
        return everything[:-held_out].tolist(), everything[-held_out:].tolist()
    sizes = Counter(labels)
    balanced = min(sizes.values()) >= 2 and len(sizes) <= min(held_out, len(labels) - held_out)
    parts: list[Any] = train_test_split(
        everything, test_size=held_out, random_state=task.seed, stratify=labels if balanced else None
    )
    return sorted(parts[0].tolist()), sorted(parts[1].tolist())


def _width(feature: Feature, column: Sequence[Value], algorithm: Algorithm) -> int:
    match feature.type:
        case "number":
            return 1
        case "category":
            return len(set(column))
        case "text":  # about as many as it has words, unless the classifier needs all
            return texts.WIDTH // (1 if algorithm not in pipelines.SPARSE else 100)


def _check_size(task: TrainingTask, seen: Labelled) -> None:
    if task.pipeline.algorithm == "gradient_boosting" and any(feature.type == "text" for feature in task.features):
        raise TaskImpossible("gradient_boosting takes no texts: it keeps a table for each of their many columns")
    width = 0
    for feature, column in zip(task.features, seen.columns, strict=True):
        found = _width(feature, column, task.pipeline.algorithm)
        if feature.type == "category" and found > MOST_CATEGORIES:
            raise TaskImpossible(f"the column {feature.name!r} has {found} categories; at most {MOST_CATEGORIES}")
        width += found
    if width * len(seen.labels) > MOST_CELLS:
        raise TaskImpossible(f"{len(seen.labels)} rows of {width} encoded columns are more than {MOST_CELLS} cells")
