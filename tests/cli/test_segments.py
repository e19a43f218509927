"""The rows of the demo's chapter on models: what the camera's update does to them, and what a line too far does."""

from __future__ import annotations

import csv
import io
import math
from collections import Counter

import pytest

from sagacity.demo.segments import TARGET, Region, as_csv, off_by_one, regions, swapped

RED = {
    "rawred-mean": 90.0,
    "rawgreen-mean": 30.0,
    "rawblue-mean": 10.0,
    "exred-mean": 140.0,
    "exgreen-mean": -40.0,
    "exblue-mean": -100.0,
    "saturation-mean": 0.9,
    "hue-mean": math.pi / 12,
}


def test_there_are_as_many_of_each_material_in_an_order_of_chance() -> None:
    found = regions(0)
    assert set(Counter(region.material for region in found).values()) == {330}
    assert found == regions(0) != regions(1)


def test_what_is_red_becomes_blue_and_keeps_its_green() -> None:
    """A hue of 15 degrees, a warm red, becomes one of 225, mirrored at green (120)."""
    seen = swapped(Region(RED, "brickface")).features
    assert (seen["rawred-mean"], seen["rawgreen-mean"], seen["rawblue-mean"]) == (10, 30, 90)
    assert (seen["exred-mean"], seen["exgreen-mean"], seen["exblue-mean"]) == (-100, -40, 140)
    assert math.degrees(seen["hue-mean"]) == pytest.approx(225 - 360)


def test_grey_has_no_hue_that_could_change() -> None:
    grey = Region({**RED, "saturation-mean": 0.0, "hue-mean": 0.0}, "cement")
    assert swapped(grey).features["hue-mean"] == 0.0


def test_swapped_twice_a_region_is_as_it_was() -> None:
    for region in regions(0)[:300]:
        again = swapped(swapped(region))
        assert again.material == region.material
        assert again.features == pytest.approx(region.features)


def test_off_by_one_no_label_is_right_and_each_is_wrong_in_the_same_way() -> None:
    found = regions(0)
    pairs = {(region.material, wrong.material) for region, wrong in zip(found, off_by_one(found), strict=True)}
    assert len(pairs) == 7
    assert all(right != wrong for right, wrong in pairs)


def test_a_file_has_the_material_last() -> None:
    lines = list(csv.reader(io.StringIO(as_csv([Region(RED, "sky")]).decode())))
    assert lines == [[*RED, TARGET], [*map(str, RED.values()), "sky"]]
