"""Rows made up, the same ones for the same seed, on every machine and for ever.

Only PCG64's raw 64-bit numbers are drawn, which NumPy promises never to change (NEP 19), and the arithmetic on them is
addition and multiplication, which IEEE 754 fixes to the last bit. NumPy's own distributions are neither.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from models.data.tables import Columns, Kinds

NAME: Final = "two_features/1"
"""To be changed whenever the rows of a seed change."""

TARGET: Final = "target"

_DRAWS: Final = 12
_NOISE: Final = 0.3
_KINDS: Final[Kinds] = {"feature1": "number", "feature2": "number", "target": "category"}


def two_features(samples: int, seed: int) -> tuple[Columns, Kinds]:
    """`target` is "1" where feature1 + feature2 / 2 + 0.3 e > 0, else "0"; both features and e are about standard
    normal: the sum of 12 uniform numbers less 6 (Irwin-Hall). The best of classifiers is right on 1 - atan(0.3 /
    sqrt(1.25)) / pi = 91.7 % of the rows.

    `samples` is at least 1; `seed` is not negative.
    """
    drawn = _normal(np.random.PCG64(seed), 3 * samples).reshape(samples, 3)
    score = drawn[:, 0] + drawn[:, 1] * 0.5 + drawn[:, 2] * _NOISE
    target = ["1" if above else "0" for above in (score > 0).tolist()]
    return {"feature1": drawn[:, 0].tolist(), "feature2": drawn[:, 1].tolist(), "target": [*target]}, {**_KINDS}


def _normal(source: np.random.PCG64, count: int) -> npt.NDArray[np.float64]:
    total = np.full(count, -_DRAWS / 2)
    for _ in range(_DRAWS):
        total += (source.random_raw(count) >> np.uint64(11)) * 2.0**-53
    return total
