"""Features: what a value means, which values are right, where the data is, and what a feature is made from."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.feature import (
    Define,
    Defined,
    Derive,
    Derived,
    Describe,
    Described,
    FreshnessRequirements,
    PublishVersion,
    VersionPublished,
    feature,
)
from domain.feature_rules import ValidationRules, value_faults
from domain.text_pattern import matches, parts_of
from tests.scenario import Scenario

hour = FreshnessRequirements(3_600.0)
positive = ValidationRules(minimum=0.0)
defined = Defined("number", "what they pay", hour, positive)
published = VersionPublished("1.0", "s3://lake/spend", {"mean": 12.5}, {"completeness": 0.98})
derived = Derived(("orders", "refunds"), "difference", {"days": 30.0}, ())


def test_a_feature_is_defined_once():
    define = Define("number", "what they pay", hour, positive)
    Scenario(feature).when(define).then(defined)
    Scenario(feature).given(defined).when(define).nothing_happens()
    Scenario(feature).given(defined).when(Define("number")).refused("feature_already_defined")


def test_a_description_replaces_what_is_given_and_never_the_data_type():
    scenario = Scenario(feature).given(defined)
    scenario.when(Describe(description="spent")).then(Described("spent", hour, positive))
    scenario.when(Describe(validation_rules=positive)).nothing_happens()
    scenario.given(Described("spent", hour, positive)).when(Describe(description="spent")).nothing_happens()


def test_a_version_says_the_same_for_ever():
    publish = PublishVersion("1.0", "s3://lake/spend", {"mean": 12.5}, {"completeness": 0.98})
    Scenario(feature).given(defined).when(publish).then(published)
    Scenario(feature).given(defined, published).when(publish).nothing_happens()
    Scenario(feature).given(defined, published).when(PublishVersion("1.0", "x")).refused("version_already_published")


def test_a_derivation_replaces_the_one_before_and_names_what_it_drops():
    derive = Derive(("orders", "refunds", "orders"), "difference", {"days": 30.0})
    Scenario(feature).given(defined).when(derive).then(derived)
    scenario = Scenario(feature).given(defined, derived)
    scenario.when(derive).nothing_happens()
    scenario.when(Derive(("orders",), "sum")).then(Derived(("orders",), "sum", {}, ("refunds",)))


@pytest.mark.parametrize("command", [Describe(), PublishVersion("1", "x"), Derive(("a",), "sum")])
def test_what_is_not_defined_takes_nothing(command):
    Scenario(feature).when(command).refused("feature_not_found")


@pytest.mark.parametrize(
    ("data_type", "rules", "faults"),
    [
        ("category", {"minimum": 0.0}, ["minimum is of numbers"]),
        ("number", {"pattern": "a", "max_length": 3}, ["pattern is of categories", "max_length is of categories"]),
        ("number", {"minimum": 2.0, "maximum": 1.0}, ["the minimum is above the maximum"]),
        ("integer", {"maximum": 3.0, "allowed": (1.0, 1.5, 4.0)}, ["1.5 is no integer", "4.0 is above 3"]),
        ("category", {"pattern": "(a+)+"}, ["character 1 ('(') cannot stand there"]),
    ],
)
def test_rules_that_nothing_could_be_held_to_are_refused_with_every_fault(data_type, rules, faults):
    refusal = feature.decide(Define(data_type, validation_rules=ValidationRules(**rules)), feature.initial)
    assert refusal.name == "rules_invalid"
    assert all(fault in refusal.reason for fault in faults)
    assert refusal.reason.count(";") == len(faults) - 1


@pytest.mark.parametrize(
    ("value", "data_type", "rules", "faults"),
    [
        (None, "number", {}, []),
        (None, "number", {"not_null": True}, ["must not be missing"]),
        (True, "number", {}, ["is no number"]),
        (1.0, "boolean", {}, ["is no boolean"]),
        (True, "boolean", {}, []),
        (2.5, "integer", {}, ["is no integer"]),
        (2.0**53, "integer", {}, ["is no integer"]),
        (-3.0, "integer", {"minimum": -3.0, "maximum": 5.0}, []),
        (7.0, "number", {"allowed": (1.0,), "maximum": 5.0}, ["is none of those allowed", "is above 5"]),
        ("gold", "category", {"allowed": ("gold", "silver")}, []),
        ("GOLD", "category", {"max_length": 3, "pattern": "[a-z]+"}, ["is longer than 3 char", "does not match"]),
    ],
)
def test_a_value_is_held_to_type_and_rules_and_all_faults_are_named(value, data_type, rules, faults):
    found = value_faults(value, data_type, ValidationRules(**rules))
    assert len(found) == len(faults)
    assert all(what.startswith(fault) for what, fault in zip(found, faults, strict=True))


parts = st.sampled_from(["a", "b", ".", "[ab]", "[^a]", "[a-c1]", r"\d", r"\w", r"\.", r"[a\]]"])
repeats = st.sampled_from(["", "?", "*", "+", "{2}", "{1,}", "{0,3}"])
patterns = st.lists(st.tuples(parts, repeats).map("".join), max_size=6).map("".join)


@given(patterns, st.text("ab1.]-\n", max_size=9))
def test_a_pattern_means_what_it_means_as_a_regular_expression(pattern, text):
    assert matches(parts_of(pattern), text) == bool(re.fullmatch(pattern, text, re.ASCII | re.DOTALL))


def test_no_pattern_takes_long():
    """Backtracking would try more ways than there are atoms in the world."""
    assert not matches(parts_of("a*" * 50 + "b"), "a" * 1_000)


@pytest.mark.parametrize(
    "pattern", ["a|b", "a**", "*a", "a{5,2}", "[z-a]", "a\\", "[a", "a{1001}", "^a", r"\b", "[a--b]"]
)
def test_a_pattern_that_cannot_be_read_is_refused(pattern):
    with pytest.raises(ValueError, match=r"character|repetition|set"):
        parts_of(pattern)
