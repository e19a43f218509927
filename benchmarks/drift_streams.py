"""Streams of errors and of numbers, 10,000 rows each after 1,000 that are known; what changes, changes at row 5,000."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.random import Generator
from scipy.signal import lfilter

from benchmarks.drift_rules import Floats

BEFORE: Final = 1_000
ROWS: Final = 10_000
CHANGE: Final = 5_000


@dataclass(frozen=True)
class Scenario:
    """`draw` gives the rows before and those of the stream; `quiet`: nothing changes."""

    name: str
    draw: Callable[[Generator], Floats]
    quiet: bool = False


def _errors(rate: float, then: float) -> Callable[[Generator], Floats]:
    rates = np.where(np.arange(BEFORE + ROWS) < BEFORE + CHANGE, rate, then)
    return lambda rng: (rng.random(len(rates)) < rates).astype(np.float64)


def _ramp(rng: Generator) -> Floats:
    """From .10 to .20 within 2,000 rows."""
    rates = np.interp(np.arange(BEFORE + ROWS), [BEFORE + CHANGE, BEFORE + CHANGE + 2_000], [0.1, 0.2])
    return (rng.random(len(rates)) < rates).astype(np.float64)


def _normal(shift: float = 0.0, factor: float = 1.0) -> Callable[[Generator], Floats]:
    later = np.arange(BEFORE + ROWS) >= BEFORE + CHANGE
    return lambda rng: rng.normal(size=BEFORE + ROWS) * np.where(later, factor, 1.0) + np.where(later, shift, 0.0)


def _autoregressive(rng: Generator) -> Floats:
    """Neighbours correlate by one half; each row is standard normal."""
    rows = lfilter([np.sqrt(0.75)], [1, -0.5], rng.normal(size=100 + BEFORE + ROWS))
    return np.asarray(rows, np.float64)[100:]


def _lognormal(rng: Generator) -> Floats:
    return rng.lognormal(0.0, 1.0, BEFORE + ROWS)


ERRORS: Final = (
    Scenario("quiet, 10 %", _errors(0.1, 0.1), quiet=True),
    Scenario("10 % to 15 %", _errors(0.1, 0.15)),
    Scenario("10 % to 20 %", _errors(0.1, 0.2)),
    Scenario("10 % to 30 %", _errors(0.1, 0.3)),
    Scenario("10 % to 20 % within 2,000", _ramp),
)
NUMBERS: Final = (
    Scenario("quiet, normal", _normal(), quiet=True),
    Scenario("quiet, autoregressive", _autoregressive, quiet=True),
    Scenario("quiet, log-normal", _lognormal, quiet=True),
    Scenario("mean + .25 s", _normal(0.25)),
    Scenario("mean + .5 s", _normal(0.5)),
    Scenario("mean + 1 s", _normal(1.0)),
    Scenario("s x 1.5", _normal(factor=1.5)),
)
