"""Real rows for the chapter on models: regions of outdoor photographs, each of one of seven materials.

Image Segmentation (University of Massachusetts, 1990; UCI Machine Learning Repository, CC BY 4.0), 2,310 regions of
3 x 3 pixels with 18 figures each, as it ships inside of the package river.
"""

from __future__ import annotations

import csv
import io
import math
import random
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from river.datasets import ImageSegments

TARGET: Final = "material"
_SWAPPED: Final = (("rawred-mean", "rawblue-mean"), ("exred-mean", "exblue-mean"))
_TURN: Final = 2 * math.pi
_GREEN: Final = _TURN / 3


class Region(NamedTuple):
    features: dict[str, float]
    material: str


def regions(seed: int) -> list[Region]:
    """All of them, in an order of chance: the file is sorted by photograph."""
    found = [Region({str(name): float(row[name]) for name in row}, label) for row, label in ImageSegments()]
    random.Random(seed).shuffle(found)
    return found


def swapped(region: Region) -> Region:
    """What the same region is to a camera whose software takes red for blue, and blue for red.

    The means and excesses change places, and the hue is mirrored at green. Brightness, saturation, edges and places
    stay as they are.
    """
    features = {**region.features}
    for red, blue in _SWAPPED:
        features[red], features[blue] = features[blue], features[red]
    if features["saturation-mean"] > 0:  # grey has no hue, which is written as 0
        features["hue-mean"] = _around(2 * _GREEN - features["hue-mean"])
    return Region(features, region.material)


def off_by_one(found: Iterable[Region]) -> list[Region]:
    """Each with the name of the next material: a list of labels that is read one line too far."""
    every = list(found)
    names = sorted({region.material for region in every})
    following = dict(zip(names, [*names[1:], names[0]], strict=True))
    return [Region(region.features, following[region.material]) for region in every]


def as_csv(found: Sequence[Region]) -> bytes:
    """With the material as the last column."""
    text = io.StringIO(newline="")
    lines = csv.writer(text)
    lines.writerow([*found[0].features, TARGET])
    lines.writerows([*region.features.values(), region.material] for region in found)
    return text.getvalue().encode()


def _around(angle: float) -> float:
    """The same direction, from -pi to pi."""
    return (angle + math.pi) % _TURN - math.pi
