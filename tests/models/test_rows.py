"""From JSON to rows of a model: both ways give the same, and whatever is wrong is named at once."""

import json

import msgspec
import pytest

from models.serve.rows import RowFault, RowReader, RowsInvalid
from tests.models.trained import FEATURES

READER = RowReader(FEATURES)
RIGHT = {"city": "oslo", "income": None, "age": 30}


def faults(document):
    with pytest.raises(RowsInvalid) as invalid:
        READER.one_of(document, "/features")
    return dict(invalid.value.faults)


def test_values_come_in_the_order_of_the_features_whatever_that_of_the_json():
    raw = msgspec.json.encode(RIGHT)
    assert READER.one(raw) == READER.one_of(json.loads(raw), "/features") == [[30.0, None, "oslo"]]
    assert (
        READER.many(b"[%s,%s]" % (raw, raw))
        == READER.many_of([RIGHT, RIGHT], "/instances")
        == [[30.0, None, "oslo"]] * 2
    )


@pytest.mark.parametrize(
    ("given", "value"),
    [
        ({"age": True}, [1.0, None, "oslo"]),
        ({"city": 7}, [30.0, None, "7"]),
        ({"city": 7.5}, [30.0, None, "7.5"]),
        ({"city": False}, [30.0, None, "0"]),
        ({"city": ""}, [30.0, None, None]),
    ],
)
def test_what_data_files_take_is_taken_the_slow_way(given, value):
    with pytest.raises(msgspec.DecodeError):
        READER.one(msgspec.json.encode(RIGHT | given))
    assert READER.one_of(RIGHT | given, "/features") == [value]


@pytest.mark.parametrize(
    ("given", "where", "what"),
    [
        ({"age": "30"}, "/features/age", "must be a number, or null"),
        ({"age": [1]}, "/features/age", "must be a number, or null"),
        ({"city": {}}, "/features/city", "must be text, or null"),
        ({"age": float("nan")}, "/features/age", "is not finite: give null for a value that is not known"),
        ({"age": float("-inf")}, "/features/age", "is not finite: give null for a value that is not known"),
        ({"age": 10**400}, "/features/age", "is not finite: give null for a value that is not known"),
        ({"city": "x" * 1_001}, "/features/city", "has more than 1000 characters"),
        ({"city": "a\0b"}, "/features/city", "must not contain NUL"),
        ({"city": "\ud800"}, "/features/city", "half a surrogate pair is no character"),
        ({"a/b~c": 1}, "/features/a~1b~0c", "the model has no such feature"),
        ({"\ud800\0": 1}, "/features/?�", "the model has no such feature"),
    ],
)
def test_each_fault_is_named_with_its_place(given, where, what):
    assert faults(RIGHT | given) == {where: what}


def test_a_feature_that_is_not_known_must_be_given_as_null():
    with pytest.raises(msgspec.DecodeError):
        READER.one(b'{"age": 1, "income": 2}')
    assert faults({"age": 1, "income": 2}) == {"/features/city": "is missing: give null for a value that is not known"}


def test_all_faults_of_all_instances_are_named_at_once():
    with pytest.raises(RowsInvalid) as invalid:
        READER.many_of([RIGHT, {"age": "x", "income": 1, "height": 2}, 7], "/instances")
    assert [where for where, _ in invalid.value.faults] == [
        "/instances/1/height",
        "/instances/1/age",
        "/instances/1/city",
        "/instances/2",
    ]


def test_of_very_many_faults_some_are_named_and_the_others_counted():
    with pytest.raises(RowsInvalid) as invalid:
        READER.many_of([{}] * 10_000, "/instances")
    assert len(invalid.value.faults) == 101
    assert invalid.value.faults[-1] == RowFault("", "and more")


@pytest.mark.parametrize("instances", [[], [RIGHT] * 10_001, {}, None])
def test_a_request_has_from_one_to_ten_thousand_instances(instances):
    with pytest.raises(msgspec.DecodeError):
        READER.many(msgspec.json.encode(instances))
    with pytest.raises(RowsInvalid, match="must be a list of 1 to 10000 objects"):
        READER.many_of(instances, "/instances")
