"""How good a model's answers are on rows whose label is known, alone and beside another one."""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# scikit-learn has no types

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import balanced_accuracy_score, f1_score

from domain.experiment import Evaluated
from domain.gate import Pairs
from domain.model import Holdout
from models.learn.encoding import Floats
from models.learn.fitted import Fitted
from models.learn.fitting import Labelled

_DECIMALS: Final = 6
_AT_ONCE: Final = 10_000
"""Rows."""


class Answers(NamedTuple):
    """`certain` is the probability that was given to the right class."""

    labels: list[str]
    right: NDArray[np.bool_]
    certain: Floats


def evaluate(challenger: Fitted, champion: Fitted | None, rows: Labelled) -> Evaluated:
    """Either may know classes that the other, or the rows, do not have. Raises ValueError when the champion reads other
    columns."""
    found = answers(challenger, rows)
    holdout = Holdout(len(rows.labels), int((~found.right).sum()))
    metrics = metrics_of(found, rows.labels)
    if champion is None:
        return Evaluated(metrics, holdout)
    if champion.features != challenger.features:
        raise ValueError("the version in use reads other columns")
    others = answers(champion, rows)
    return Evaluated(metrics, holdout, metrics_of(others, rows.labels), _pairs(others.right, found.right))


def answers(fitted: Fitted, rows: Labelled) -> Answers:
    table = list(zip(*rows.columns, strict=True))
    parts = [fitted.probabilities(table[at : at + _AT_ONCE]) for at in range(0, len(table), _AT_ONCE)]
    found = np.concatenate(parts)
    labels = [fitted.classes[place] for place in found.argmax(axis=1).tolist()]
    right = np.array([answer == label for answer, label in zip(labels, rows.labels, strict=True)])
    places = {name: place for place, name in enumerate(fitted.classes)}
    certain = [found[row, places[label]] if label in places else 0.0 for row, label in enumerate(rows.labels)]
    return Answers(labels, right, np.array(certain))


def metrics_of(found: Answers, labels: Sequence[str]) -> dict[str, float]:
    """Balanced accuracy is the mean of the classes' recalls, F1 the plain mean of theirs. The log loss counts a class
    that the model does not know as the least probability there is: 2^-52, as scikit-learn."""
    least = np.finfo(np.float64).eps
    exact: dict[str, Any] = {
        "accuracy": found.right.mean(),
        "balanced_accuracy": balanced_accuracy_score(labels, found.labels),
        "f1": f1_score(labels, found.labels, average="macro"),
        "log_loss": -np.log(np.clip(found.certain, least, 1 - least)).mean(),
        "majority": Counter(labels).most_common(1)[0][1] / len(labels),
    }
    return {name: round(float(value), _DECIMALS) for name, value in exact.items()}


def _pairs(active: NDArray[np.bool_], other: NDArray[np.bool_]) -> Pairs:
    return Pairs(
        both=int((active & other).sum()),
        active_only=int((active & ~other).sum()),
        other_only=int((~active & other).sum()),
        neither=int((~active & ~other).sum()),
    )
