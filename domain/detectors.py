"""Detectors of drift: of what a model is asked (`InputDetectors`) and of how often it errs (`ErrorDetector`).

All are deterministic, and it makes no difference how rows are cut into calls: the same rows give the same windows and
verdicts, on every machine. So what was recorded of a model can be replayed, also with other thresholds.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final

import msgspec

from domain import autocorrelation, drift_budget, drift_reference, error_drift, numeric_drift, two_samples
from domain.drift_budget import thresholds
from domain.drift_reference import Reference, reference_of
from domain.error_drift import ErrorDetector
from domain.input_drift import InputDetectors

__all__ = ["POLICY", "ErrorDetector", "InputDetectors", "Reference", "reference_of", "thresholds"]

_RULE: Final = "drift/1"
_CONSTANTS: Final = (
    error_drift.RATIOS,
    error_drift.STANDARD_ERRORS,
    drift_budget.DELTA_PER_RATE,
    drift_budget.MOST_DELTA,
    drift_budget.MOST_ALPHA,
    numeric_drift.CLOCK,
    drift_reference.MOST_VALUES,
    drift_reference.LEAST_SHARE,
    autocorrelation.MOST_LAGS,
    autocorrelation.MOST_RHO,
    two_samples.LEAST_EXPECTED,
)

POLICY: Final = f"{_RULE} {sha256(msgspec.json.encode(_CONSTANTS)).hexdigest()[:12]}"
"""The rules of this code, and a hash of their constants."""
