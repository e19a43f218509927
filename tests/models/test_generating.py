"""Rows made up: the same for ever, and with something in them to learn."""

import hashlib
import struct

import pytest

from models.data.generating import two_features


def bytes_of(columns):
    return b"".join(
        struct.pack("<dd", one, two) + target.encode()
        for one, two, target in zip(columns["feature1"], columns["feature2"], columns["target"], strict=True)
    )


def test_a_seed_gives_the_same_rows_for_ever():
    """To the last bit: a dataset that says `seed: 7` can be made again from its record."""
    columns, kinds = two_features(1000, 7)
    assert (
        hashlib.sha256(bytes_of(columns)).hexdigest()
        == "80d1d00a182d35d5ff41cffe6c51fb0346a12acd2b6cace39562f7c3750be71c"
    )
    assert kinds == {"feature1": "number", "feature2": "number", "target": "category"}


def test_another_seed_gives_other_rows():
    assert two_features(10, 1) != two_features(10, 2)


@pytest.mark.parametrize("name", ["feature1", "feature2"])
def test_features_are_about_standard_normal(name):
    values = two_features(20_000, 3)[0][name]
    mean = sum(values) / len(values)
    assert mean == pytest.approx(0, abs=0.03)
    assert sum(value**2 for value in values) / len(values) - mean**2 == pytest.approx(1, abs=0.04)


def test_the_best_of_classifiers_is_right_on_about_92_in_100():
    columns, _ = two_features(20_000, 3)
    right = sum(
        (one + two / 2 > 0) == (target == "1")
        for one, two, target in zip(columns["feature1"], columns["feature2"], columns["target"], strict=True)
    )
    assert right / 20_000 == pytest.approx(0.917, abs=0.01)
    assert columns["target"].count("1") / 20_000 == pytest.approx(0.5, abs=0.02)
