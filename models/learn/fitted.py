"""A pipeline that was fitted, and its answers."""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false, reportPrivateUsage=false
# scikit-learn has no types

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.tree import DecisionTreeClassifier

from domain.pipeline import Feature, Value
from models.learn.encoding import Encoding, Floats

_DECIMALS: Final = 6


@dataclass(frozen=True)
class Fitted:
    """`classes` are in the order of the probabilities. Safe for any number of threads."""

    features: tuple[Feature, ...]
    classes: tuple[str, ...]
    pipeline: Pipeline

    def predict(self, rows: Sequence[Sequence[Value]]) -> tuple[list[str], list[float]]:
        """Labels, and confidences between 0 and 1. Rows are in the order of `features`; None is missing, a category
        that training did not know is none of those it knew. Raises ValueError for text where numbers belong."""
        if not rows:
            return [], []
        found = self.probabilities(rows)
        best = found.argmax(axis=1)
        confidences = found[np.arange(len(best)), best].round(_DECIMALS)
        return [self.classes[place] for place in best.tolist()], confidences.tolist()

    def probabilities(self, rows: Sequence[Sequence[Value]]) -> Floats:
        """One row a row, one column a class. Raises ValueError for text where numbers belong."""
        encoded = self._arranged(self.encoding.encode(rows))
        if isinstance(self.classifier, RandomForestClassifier):
            return _forest(self.classifier, encoded)
        if isinstance(self.classifier, HistGradientBoostingClassifier):
            return _boosting(self.classifier, encoded)
        return self.classifier.predict_proba(encoded)

    def _arranged(self, encoded: Any) -> Any:
        """As the classifier was fitted to it."""
        sparse = isinstance(self.classifier, LogisticRegression | DecisionTreeClassifier | RandomForestClassifier)
        return encoded if sparse or isinstance(encoded, np.ndarray) else encoded.toarray()

    @cached_property
    def encoding(self) -> Encoding:
        return Encoding(self.pipeline, self.features)

    @property
    def classifier(self) -> Any:
        return self.pipeline.steps[-1][1]


def _forest(forest: Any, encoded: Any) -> Floats:
    """The mean of the trees, as its own predict_proba, which gives every tree a job: ten times the work itself."""
    rows = encoded.astype(np.float32)
    total: Floats = np.zeros((rows.shape[0], forest.n_classes_))
    for tree in forest.estimators_:
        total += tree.tree_.predict(rows)
    return total / len(forest.estimators_)


def _boosting(boosting: Any, encoded: Floats) -> Floats:
    """As its own predict_proba, on this thread alone: it would start one for every processor, and wait for them."""
    return boosting._loss.predict_proba(boosting._raw_predict(encoded, n_threads=1))
