"""How long one check of the 12 fields of an invoice takes, in process."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, NamedTuple

import numpy as np
from pydantic import ValidationError

from benchmarks.quality_contenders import OURS
from benchmarks.quality_rows import FIELDS, SENT_ON
from domain.quality import compiled
from domain.record import Reading
from domain.schema import Value
from records.schemas.financial import SCHEMA, Invoice

LIMIT: Final = 50
"""Microseconds."""

_BATCH: Final = 20

_COMPLETE: Final[dict[str, Value]] = {
    "invoice_number": "RE-2026/0815",
    "issued_on": "2026-11-02",
    "seller.name": "Example GmbH",
    "seller.vat_id": "DE123456789",
    "buyer.name": "Sample SARL",
    "net": 100.0,
    "tax": 19.0,
    "total": 119.0,
    "currency": "EUR",
    "payment_method": "transfer",
    "iban": "DE89370400440532013000",
    "due_on": "2026-12-02",
}
_FAULTY: Final[dict[str, Value]] = {
    **{path: value for path, value in _COMPLETE.items() if path not in ("buyer.name", "due_on")},
    "issued_on": "2026-02-30",
    "total": 120.0,
    "currency": 978.0,
}
"""Two are missing, two wrong, three contradict each other."""


class Speed(NamedTuple):
    """Microseconds of one, by batches."""

    median: float
    low: float
    high: float
    best: float


def speeds(batches: int) -> dict[str, Speed]:
    """All take turns."""
    if len(SCHEMA.fields) != FIELDS:
        raise ValueError(f"an invoice has {len(SCHEMA.fields)} fields, and not {FIELDS}")
    calls = {
        f"{OURS}, all right": _check(_COMPLETE),
        f"{OURS}, seven faults": _check(_FAULTY),
        f"{OURS}, nothing there": _check({}),
        "pydantic model, all right": _validation(_COMPLETE),
        "pydantic model, faults": _validation(_FAULTY),
    }
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(batches):
        for name, call in calls.items():
            began = time.perf_counter_ns()
            for _ in range(_BATCH):
                call()
            times[name].append((time.perf_counter_ns() - began) / 1_000 / _BATCH)
    return {name: _speed(taken) for name, taken in times.items()}


def _speed(taken: list[float]) -> Speed:
    low, median, high = np.percentile(taken, [5, 50, 95]).tolist()
    return Speed(median, low, high, min(taken))


def _check(values: dict[str, Value]) -> Callable[[], object]:
    check = compiled(SCHEMA, 1)
    readings = {path: Reading(value, "text") for path, value in values.items()}
    return lambda: check.assess(readings, (), SENT_ON, (), False, None)


def _validation(values: dict[str, Value]) -> Callable[[], object]:
    """Its own checks only: no rules, no conditions, no gaps."""
    nested: dict[str, Any] = {"seller": {}, "buyer": {}}
    for path, value in values.items():
        first, _, second = path.partition(".")
        if second:
            nested[first][second] = value
        else:
            nested[first] = value

    def validate() -> None:
        with suppress(ValidationError):
            Invoice.model_validate(nested)

    return validate
