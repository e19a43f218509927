"""Rows as they are observed, as tables; and what the detectors and the gate read from these, live and in a replay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from msgspec import structs

from domain import gate
from domain.drift import Verdict, Window
from domain.pipeline import Feature, Value
from models.data.tables import Columns, Kinds
from models.observe.joining import Labelled
from models.observe.observed import ACTIVE, ID, LABEL, OTHER, PREDICTION, VERSION, WRONG
from models.serve.predictions import PredictionBatch

MOST_VERDICTS: Final = 100
"""Of one observation that are recorded: all are written at once, and a write has its limits. There are more only where
hundreds of rows or columns drift together; the first one of each kind is always among them."""

MOST_FIGURES: Final = 5_000
"""Columns of windows in one observation that are recorded: those with the least p-values."""


class Table(NamedTuple):
    columns: Columns
    kinds: Kinds

    @property
    def rows(self) -> int:
        return len(next(iter(self.columns.values())))


class Answers(NamedTuple):
    """What two versions say of the same rows; None for rows on which they are not compared."""

    active: Sequence[str | None]
    other: Sequence[str | None]


def of_inputs(batches: Sequence[PredictionBatch], features: Sequence[Feature]) -> Table:
    rows = [row for batch in batches for row in batch.rows]
    predictions: list[Value] = [prediction for batch in batches for prediction in batch.predictions]
    kinds: Kinds = {feature.name: feature.type for feature in features}
    return Table(
        {**features_of(rows, features), PREDICTION: predictions},
        {**kinds, PREDICTION: "category"},
    )


def of_outcomes(labelled: Sequence[Labelled], features: Sequence[Feature], answers: Answers | None) -> Table:
    predictions = [each.batch.predictions[each.row] for each in labelled]
    about: Columns = {
        ID: [each.id for each in labelled],
        VERSION: [each.batch.version for each in labelled],
        PREDICTION: [*predictions],
        LABEL: [each.label for each in labelled],
    }
    kinds: Kinds = dict.fromkeys(about, "category")
    wrong: list[Value] = [
        float(each.label != prediction) for each, prediction in zip(labelled, predictions, strict=True)
    ]
    about[WRONG], kinds[WRONG] = wrong, "number"
    if answers is not None:
        about |= {ACTIVE: [*answers.active], OTHER: [*answers.other]}
        kinds |= {ACTIVE: "category", OTHER: "category"}
    rows = [each.batch.rows[each.row] for each in labelled]
    kinds.update((feature.name, feature.type) for feature in features)
    return Table(about | features_of(rows, features), kinds)


def features_of(rows: Sequence[Sequence[Value]], features: Sequence[Feature]) -> Columns:
    columns = zip(*rows, strict=True) if rows else [()] * len(features)
    return {feature.name: list(column) for feature, column in zip(features, columns, strict=True)}


def recorded_verdicts(verdicts: Sequence[Verdict]) -> tuple[Verdict, ...]:
    first = {verdict.kind: place for place, verdict in reversed(list(enumerate(verdicts)))}
    return tuple(
        verdict for place, verdict in enumerate(verdicts) if place < MOST_VERDICTS or place == first[verdict.kind]
    )


def recorded_windows(windows: Sequence[Window]) -> tuple[Window, ...]:
    each = MOST_FIGURES // max(len(windows), 1)
    return tuple(window if len(window.features) <= each else _least(window, each) for window in windows)


def _least(window: Window, columns: int) -> Window:
    found = sorted(window.features.items(), key=lambda each: (each[1].p_value, each[0]))[:columns]
    return structs.replace(window, features=dict(found))


def predictions_in(columns: Mapping[str, Sequence[Value]]) -> list[str]:
    return [str(each) for each in columns[PREDICTION]]


def wrong_in(columns: Mapping[str, Sequence[Value]], version: str) -> list[bool]:
    """Of the rows that this version predicted."""
    return [wrong == 1.0 for wrong, by in zip(columns[WRONG], columns[VERSION], strict=True) if by == version]


def pairs_in(columns: Mapping[str, Sequence[Value]]) -> gate.Pairs:
    """Of the rows on which two versions are compared."""
    if ACTIVE not in columns:
        return gate.Pairs()
    triples = zip(columns[LABEL], columns[ACTIVE], columns[OTHER], strict=True)
    right = [(active == label, other == label) for label, active, other in triples if active is not None]
    return gate.Pairs(
        right.count((True, True)),
        right.count((True, False)),
        right.count((False, True)),
        right.count((False, False)),
    )
