"""Worlds that a model lives in, row by row, with a tenth of label noise in SEA: three of river's generators, and points
of two banana-shaped classes (a data set that river has) whose coordinates change places half way."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from river.datasets import Bananas
from river.datasets.synth import SEA, Agrawal

from benchmarks.drift_rules import Floats

CONCEPT: Final = 5_000


class World(NamedTuple):
    """The first `known` rows are what the first model is trained on."""

    rows: Floats
    labels: NDArray[np.int64]
    known: int = 2_000


def _taken(stream: Iterable[tuple[dict[Any, Any], Any]], rows: int) -> tuple[Floats, NDArray[np.int64]]:
    taken = list(islice(stream, rows))
    return np.array([list(row.values()) for row, _ in taken], np.float64), np.array([int(label) for _, label in taken])


def _concepts(streams: list[Any]) -> World:
    parts = [_taken(stream, CONCEPT) for stream in streams]
    return World(np.concatenate([rows for rows, _ in parts]), np.concatenate([labels for _, labels in parts]))


def _seed(rng: Generator) -> int:
    return int(rng.integers(2**31))


def _sea(rng: Generator) -> World:
    return _concepts([SEA(variant, noise=0.1, seed=_seed(rng)) for variant in range(4)])


def _agrawal(rng: Generator) -> World:
    return _concepts([Agrawal(concept, seed=_seed(rng)) for concept in range(4)])


def _quiet(rng: Generator) -> World:
    return _concepts([SEA(0, noise=0.1, seed=_seed(rng)) for _ in range(4)])


def _bananas(rng: Generator) -> World:
    rows, labels = _taken(Bananas(), 5_300)
    order = rng.permutation(len(rows))
    rows, labels = rows[order], labels[order]
    half = len(rows) // 2
    rows[half:] = rows[half:, ::-1]
    return World(rows, labels, 1_000)


WORLDS: Final[dict[str, Callable[[Generator], World]]] = {
    "SEA, 4 concepts": _sea,
    "Agrawal, 4 concepts": _agrawal,
    "bananas, turned half way": _bananas,
    "SEA, quiet": _quiet,
}
QUIET: Final = "SEA, quiet"
