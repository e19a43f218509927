"""What later rows are compared with: the columns of the training data, in figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from domain.autocorrelation import dispersion_of_categories, dispersion_of_numbers, lag_one
from domain.evidence import Floats
from domain.model import Holdout
from domain.normal_scores import NormalScores, numbers
from domain.pipeline import ColumnType, Value
from domain.rounding import rounded

MOST_VALUES: Final = 5_000
LEAST_SHARE: Final = 0.001


class Numbers(Struct, frozen=True, tag="number"):
    """`sample`: the values from least to greatest, at most 5,000 of them, evenly spaced by rank. `rho` is the
    correlation of the normal scores of neighbours, `dispersion` what all lags come to; `missing_dispersion` is that
    of whether a value is missing."""

    sample: tuple[float, ...]
    rows: int
    missing: int
    rho: float
    dispersion: float
    missing_dispersion: float


class Categories(Struct, frozen=True, tag="category"):
    """`counts` of those that are at least a thousandth of the rows; the others are in `rows` only. (A share, not a
    rank: those that are only just named would be more common here than in any window, by choice.)"""

    counts: dict[str, int]
    rows: int
    missing: int
    dispersion: float


class Reference(Struct, frozen=True):
    """`predictions` are None when none were given: they are not compared then."""

    columns: dict[str, Numbers | Categories]
    predictions: Categories | None
    holdout: Holdout


def reference_of(
    columns: Mapping[str, Sequence[Value]],
    kinds: Mapping[str, ColumnType],
    predictions: Sequence[str] | None,
    holdout: Holdout,
) -> Reference:
    """Of the columns named in `kinds`. Rows are in the order of time: how alike neighbours are is learnt from them.

    `predictions` are those that the model gives for rows it was not trained on, so that it is no better at home.
    """
    known = {
        name: numbers_of(columns[name]) if kind == "number" else categories_of(columns[name])
        for name, kind in kinds.items()
    }
    return Reference(known, None if predictions is None else categories_of(predictions), holdout)


def numbers_of(values: Sequence[Value]) -> Numbers:
    known = numbers(values)
    missing = np.isnan(known)
    sample = _evenly(np.sort(known[~missing]))
    scores = NormalScores(sample.tolist()).of(known)
    return Numbers(
        sample=tuple(sample.tolist()),
        rows=len(values),
        missing=int(missing.sum()),
        rho=rounded(lag_one(scores)),
        dispersion=rounded(dispersion_of_numbers(scores)),
        missing_dispersion=rounded(dispersion_of_categories(missing.astype(np.int64))),
    )


def categories_of(values: Sequence[Value]) -> Categories:
    known = categories(values)
    counts = Counter(value for value in known if value is not None)
    common = sorted(name for name, count in counts.items() if count >= LEAST_SHARE * len(known))
    dispersion = rounded(dispersion_of_categories(codes(known)))
    return Categories({name: counts[name] for name in common}, len(known), len(known) - counts.total(), dispersion)


def categories(values: Sequence[Value]) -> list[str | None]:
    return [None if value is None else str(value) for value in values]


def codes(values: Sequence[str | None]) -> NDArray[np.int64]:
    """A number for each category, in the order of their first rows."""
    numbered = {value: code for code, value in enumerate(dict.fromkeys(values))}
    return np.array([numbered[value] for value in values], np.int64)


def _evenly(ordered: Floats) -> Floats:
    if len(ordered) <= MOST_VALUES:
        return ordered
    return ordered[(np.arange(MOST_VALUES) * 2 + 1) * len(ordered) // (2 * MOST_VALUES)]
