"""Rows as the arrays that pipelines take, and what a fitted pipeline makes of them before it classifies.

scikit-learn's own steps check every array several times over, which for a few rows takes many times longer than the
arithmetic; the arithmetic is done here, with what was fitted, and has the same result to the last bit.
"""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# scikit-learn has no types

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import isnan
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from domain.pipeline import Feature, Value
from models.data.cells import as_text
from models.learn.pipelines import NO_CATEGORY
from models.learn.texts import WIDTH, check_text_steps

Floats = NDArray[np.float64]
LARGEST: Final = 1e30
"""Numbers beyond it count as it: trees compute in 32 bits, and one absurd row must not fail those beside it."""


def numbers(values: Sequence[Any]) -> Floats:
    """Of cells or rows of cells. None and what is not finite is nan. Raises ValueError for text."""
    array = np.array(values, dtype=np.float64)
    array[~np.isfinite(array)] = np.nan
    return np.clip(array, -LARGEST, LARGEST)


def category(value: Value) -> str | None:
    if isinstance(value, str):
        return value
    return None if value is None or isnan(value) else as_text(value)


def text(value: Value) -> str:
    return category(value) or ""


def table(columns: Sequence[Sequence[Value]], features: Sequence[Feature]) -> NDArray[Any]:
    """What `models.learn.pipelines.build` takes; one column a feature.

    Raises ValueError for text where numbers belong.
    """
    if all(feature.type == "number" for feature in features):
        return np.column_stack([numbers(column) for column in columns])
    array = np.empty((len(columns[0]), len(features)), dtype=object)
    for position, (feature, column) in enumerate(zip(features, columns, strict=True)):
        match feature.type:
            case "number":
                array[:, position] = numbers(column)
            case "category":
                array[:, position] = [category(value) for value in column]
            case "text":
                array[:, position] = [text(value) for value in column]
    return array


class Encoding:
    """What comes before the classifier. Raises ValueError when it is not what `models.learn.pipelines.build` makes."""

    def __init__(self, pipeline: Pipeline, features: Sequence[Feature]) -> None:
        self._numeric = [position for position, feature in enumerate(features) if feature.type == "number"]
        self._categorical = [position for position, feature in enumerate(features) if feature.type == "category"]
        self._texts = [position for position, feature in enumerate(features) if feature.type == "text"]
        numeric, categorical, self._readers = _parts([step for _, step in pipeline.steps[:-1]])
        _check_readers(self._readers, self._texts)
        self._median, self._mean, self._scale = _numeric_state(numeric, len(self._numeric))
        self._places: list[dict[str, int]] = []
        self.width = len(self._numeric)
        for names in _categories(categorical, len(self._categorical)):
            self._places.append({name: self.width + place for place, name in enumerate(names)})
            self.width += len(names)
        self._known = self.width
        """Columns that are no words of a text."""
        self.width += len(self._texts) * WIDTH

    def encode(self, rows: Sequence[Sequence[Value]]) -> Any:
        """One row a row, `width` columns: an array of floats, or where there are texts a sparse matrix (CSR). Raises
        ValueError for text where numbers belong."""
        if not self._texts:
            return self._encoded(rows)
        known = [sparse.csr_matrix(self._encoded(rows))] if self._known else []
        return sparse.hstack([*known, *(each for found in self._read(rows) for each in found)], format="csr")

    def _read(self, rows: Sequence[Sequence[Value]]) -> Iterator[list[Any]]:
        for position in self._texts:
            texts = [text(row[position]) for row in rows]
            yield [weigh.transform(count.transform(texts)) for count, weigh in self._readers[position].values()]

    def _encoded(self, rows: Sequence[Sequence[Value]]) -> Floats:
        if not (self._categorical or self._texts):
            return self._scaled(numbers(rows).reshape(len(rows), self.width))
        encoded = np.zeros((len(rows), self._known))
        if self._numeric:
            found = numbers([[row[position] for position in self._numeric] for row in rows])
            encoded[:, : len(self._numeric)] = self._scaled(found.reshape(len(rows), len(self._numeric)))
        for position, places in zip(self._categorical, self._places, strict=True):
            for number, row in enumerate(rows):
                value = category(row[position])
                place = places.get(NO_CATEGORY if value is None else value)
                if place is not None:
                    encoded[number, place] = 1.0
        return encoded

    def _scaled(self, found: Floats) -> Floats:
        missing = np.isnan(found)
        if missing.any():
            found = np.where(missing, self._median, found)
        with np.errstate(over="ignore"):
            return np.clip((found - self._mean) / self._scale, -LARGEST, LARGEST)


_Readers = dict[int, dict[str, list[Any]]]
"""By the place of a text and the name of an analysis: its steps."""


def _parts(steps: list[Any]) -> tuple[list[Any], list[Any], _Readers]:
    """The steps for the numbers, those for the categories, and those for each text."""
    match steps:
        case [ColumnTransformer(transformers_=parts)]:
            found = {name: [step for _, step in part.steps] for name, part, _ in parts}
            numeric, categorical = found.pop("numbers", []), found.pop("categories", [])
            readers: _Readers = {}
            for name, each in found.items():
                analysis, _, position = name.partition(" ")
                readers.setdefault(int(position), {})[analysis] = each
            return numeric, categorical, readers
        case _:
            return steps, [], {}


def _check_readers(readers: _Readers, texts: Sequence[int]) -> None:
    if list(readers) != list(texts):
        raise ValueError(f"there are {len(texts)} texts, and steps for {len(readers)}")
    for steps in readers.values():
        check_text_steps(steps)


def _numeric_state(steps: list[Any], columns: int) -> tuple[Floats, Floats, Floats]:
    found: Any
    match steps:
        case []:
            found = (np.empty(0), np.empty(0), np.empty(0))
        case [SimpleImputer(statistics_=median), StandardScaler(mean_=mean, scale_=scale)]:
            found = (median, mean, scale)
        case _:
            raise ValueError("numbers are imputed and scaled")
    if any(array.shape != (columns,) or array.dtype != np.float64 for array in found):
        raise ValueError(f"there are {columns} numeric features, and other numbers of medians, means or deviations")
    return found


def _categories(steps: list[Any], columns: int) -> list[list[str]]:
    match steps:
        case []:
            found: list[list[str]] = []
        case [SimpleImputer(), OneHotEncoder(categories_=categories)]:
            found = [[str(name) for name in names] for names in categories]
        case _:
            raise ValueError("categories are imputed and encoded")
    if len(found) != columns:
        raise ValueError(f"there are {columns} categorical features and categories of {len(found)}")
    return found
