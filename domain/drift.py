"""What is found out about a model in use, as it is recorded: references, windows and verdicts.

How it is found out stands in `domain.detectors`; everything here is data, and says what it was computed from.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Kind = Literal["errors", "feature", "prediction"]
Method = Literal["e-detector", "adwin-whitened", "ks", "chi2"]


class Thresholds(Struct, frozen=True):
    """What a budget of false alarms comes to. `samples`: expected ones between two false alarms of everything.

    `errors_arl`: rows between false alarms of the error detector; `adwin_delta`: of each of the two ADWINs of a
    numeric feature; `window_alpha`: the false discovery rate within the windows of one look.
    """

    samples: float
    errors_arl: float
    adwin_delta: float
    window_alpha: float


class Verdict(Struct, frozen=True):
    """Drift. `feature` is the column's name, empty for errors; `at` counts the rows since the reference.

    `statistic` is beyond `threshold`: the detector's own figure (natural logarithm of the e-value, width of ADWIN's
    cut, p-value); `details` are the other figures that it was computed from.
    """

    kind: Kind
    feature: str
    method: Method
    at: int
    statistic: float
    threshold: float
    details: dict[str, float]


class FeatureWindow(Struct, frozen=True):
    """One column in one window beside the reference. `effect` is the population stability index (PSI)."""

    method: Method
    statistic: float
    p_value: float
    effect: float


class Window(Struct, frozen=True):
    """A window of rows, up to row `at` since the reference; `features` by name, with `prediction` as one of them."""

    number: int
    at: int
    rows: int
    features: dict[str, FeatureWindow]
