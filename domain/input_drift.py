"""Whether what a model is asked, and what it answers, has changed since its training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from domain.drift import FeatureWindow, Kind, Thresholds, Verdict, Window
from domain.drift_reference import Categories, Numbers, Reference, categories
from domain.evidence import Floats
from domain.model_policy import Monitoring
from domain.normal_scores import NormalScores, numbers
from domain.numeric_drift import NumericDetector
from domain.pipeline import Value
from domain.rounding import rounded
from domain.two_samples import adjusted
from domain.window_tests import of_categories, of_numbers

PREDICTION: Final = "prediction"
"""The name of the predicted labels among the columns."""


class _NumberColumn:
    def __init__(self, name: str, reference: Numbers, thresholds: Thresholds) -> None:
        self._reference = reference
        self._scores = NormalScores(reference.sample)
        self._detector = NumericDetector(name, reference.rho, self._scores, thresholds)
        self._values: list[Floats] = []

    def see(self, values: Sequence[Value]) -> list[Verdict]:
        self._values.append(numbers(values))
        return self._detector.see(self._values[-1])

    def recall(self, values: Sequence[Value], left: int) -> None:
        known = numbers(values)
        self._detector.see(known)
        self._values = [np.concatenate([*self._values, known])[-left:]] if left else []

    def compare(self) -> FeatureWindow:
        values = np.concatenate(self._values)
        self._values.clear()
        return of_numbers(self._reference, self._scores, values)


class _CategoryColumn:
    def __init__(self, reference: Categories) -> None:
        self._reference = reference
        self._values: list[str | None] = []

    def see(self, values: Sequence[Value]) -> list[Verdict]:
        self._values.extend(categories(values))
        return []

    def recall(self, values: Sequence[Value], left: int) -> None:
        self._values = [*self._values, *categories(values)][-left:] if left else []

    def compare(self) -> FeatureWindow:
        window = of_categories(self._reference, self._values)
        self._values.clear()
        return window


class InputDetectors:
    """The columns of the reference, row by row (numbers) and window by window; the predicted labels are one more
    column of the windows, if the reference has them."""

    def __init__(self, reference: Reference, thresholds: Thresholds, monitoring: Monitoring) -> None:
        self._alpha = thresholds.window_alpha
        self._window = monitoring.window
        self._features = {name: _column(name, known, thresholds) for name, known in reference.columns.items()}
        self._predictions = _CategoryColumn(reference.predictions) if reference.predictions else None
        self._at = 0

    def see(
        self, rows: Mapping[str, Sequence[Value]], predictions: Sequence[str]
    ) -> tuple[tuple[Window, ...], tuple[Verdict, ...]]:
        """The next rows by column, as many as there are predictions. Verdicts are in the order of their rows.

        Raises KeyError if a column of the reference is not there.
        """
        windows: list[Window] = []
        verdicts: list[Verdict] = []
        first = 0
        while first < len(predictions):
            last = min(len(predictions), first + self._window - self._at % self._window)
            verdicts += self._see({name: rows[name][first:last] for name in self._features}, predictions[first:last])
            self._at += last - first
            first = last
            if self._at % self._window == 0:
                window, drifted = self._compare()
                windows.append(window)
                verdicts += drifted
        return tuple(windows), tuple(verdicts)

    def recall(self, rows: Mapping[str, Sequence[Value]], predictions: Sequence[str]) -> None:
        """Rows that were seen before, by other detectors with the same reference: what is seen next is as if they had
        been seen by these. Windows that are over are not compared again.

        Raises KeyError likewise.
        """
        self._at += len(predictions)
        left = self._at % self._window
        if self._predictions:
            self._predictions.recall(predictions, left)
        for name, column in self._features.items():
            column.recall(rows[name], left)

    def _see(self, rows: Mapping[str, Sequence[Value]], predictions: Sequence[str]) -> list[Verdict]:
        """Within one window."""
        if self._predictions:
            self._predictions.see(predictions)
        found = [verdict for name, column in self._features.items() for verdict in column.see(rows[name])]
        return sorted(found, key=lambda verdict: verdict.at)

    def _compare(self) -> tuple[Window, list[Verdict]]:
        columns: list[tuple[Kind, str, FeatureWindow]] = [
            ("feature", name, column.compare()) for name, column in self._features.items()
        ]
        if self._predictions:
            columns.append(("prediction", PREDICTION, self._predictions.compare()))
        number = self._at // self._window
        window = Window(number, self._at, self._window, {name: compared for _, name, compared in columns})
        p_values = adjusted([compared.p_value for _, _, compared in columns])
        drifted = [
            self._verdict(kind, name, compared, window, rounded(p_value))
            for (kind, name, compared), p_value in zip(columns, p_values, strict=True)
        ]
        return window, [verdict for verdict in drifted if verdict.statistic <= verdict.threshold]

    def _verdict(self, kind: Kind, name: str, compared: FeatureWindow, window: Window, adjusted: float) -> Verdict:
        details = {
            "p_value": compared.p_value,
            "statistic": compared.statistic,
            "effect": compared.effect,
            "window": float(window.number),
            "rows": float(window.rows),
            "columns": float(len(window.features)),
        }
        return Verdict(kind, name, compared.method, window.at, adjusted, self._alpha, details)


def _column(name: str, reference: Numbers | Categories, thresholds: Thresholds) -> _NumberColumn | _CategoryColumn:
    match reference:
        case Numbers():
            return _NumberColumn(name, reference, thresholds)
        case Categories():
            return _CategoryColumn(reference)
