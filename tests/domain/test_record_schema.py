"""Schemas of domains: published in versions, refused with every fault, withdrawn when they were a mistake."""

import pytest

from domain.record_schema import Known, Publish, Published, Withdraw, Withdrawn, record_schema
from domain.schema import Condition, Field, Rule, Schema
from domain.schema_faults import schema_faults
from tests.scenario import Scenario

claim = Schema("claims", (Field("number", "identifier"), Field("amount", "amount", minimum=0.0)))
longer = Schema("claims", (*claim.fields, Field("reason")))
first, second = Published(1, claim), Published(2, longer)


def test_versions_count_from_one():
    Scenario(record_schema).when(Publish(claim)).then(first)
    Scenario(record_schema).given(first).when(Publish(longer)).then(second)
    Scenario(record_schema).given(first, second).when(Publish(claim)).then(Published(3, claim))


def test_the_same_schema_again_changes_nothing():
    Scenario(record_schema).given(first).when(Publish(claim)).nothing_happens()
    Scenario(record_schema).given(first, second).when(Publish(longer)).nothing_happens()


def test_a_schema_keeps_its_name():
    Scenario(record_schema).given(first).when(Publish(Schema("other", claim.fields))).refused("schema_name_fixed")


def test_the_state_knows_all_versions_and_the_latest():
    assert record_schema.fold([first, second]) == Known({1: claim, 2: longer}, 2)


def test_of_what_was_withdrawn_the_version_before_counts_and_its_number_is_not_given_again():
    withdrawn = Withdrawn(2, "asks too much", 1)
    scenario = Scenario(record_schema).given(first, second)
    scenario.when(Withdraw(2, "asks too much")).then(withdrawn)
    assert record_schema.fold([first, second, withdrawn]) == Known({1: claim, 2: longer}, 1, (2,))
    scenario.given(withdrawn).when(Publish(longer)).then(Published(3, longer))
    scenario.when(Withdraw(2, "again")).nothing_happens()


def test_withdrawing_an_old_version_leaves_the_latest():
    Scenario(record_schema).given(first, second).when(Withdraw(1, "old")).then(Withdrawn(1, "old", 2))


def test_one_version_always_stays():
    Scenario(record_schema).given(first).when(Withdraw(1, "no")).refused("version_needed")
    Scenario(record_schema).given(first).when(Withdraw(7, "no")).refused("version_not_found")
    Scenario(record_schema).when(Withdraw(1, "no")).refused("schema_not_found")


def test_a_schema_is_refused_with_every_fault_at_once():
    faulty = Schema(
        "claims",
        (
            Field("number"),
            Field("number", "number", minimum=3.0, maximum=2.0),
            Field("day", "date", pattern="a", oldest=1.0, newest=-1.0),
            Field("code", pattern="(a+)+"),
        ),
        (Rule("sum", ("day", "nowhere")),),
    )
    refusal = record_schema.decide(Publish(faulty), record_schema.initial)
    assert refusal.name == "schema_invalid"
    assert refusal.reason.split("; ") == [
        "number is there 2 times",
        "number: the minimum is above the maximum",
        "day: the oldest is after the newest",
        "day: a pattern is of texts",
        r"code: pattern: character 1 ('(') cannot stand there: escape it with \ to mean itself",
        "the rule sum of day, nowhere: nowhere is no field",
        "the rule sum of day, nowhere: only numbers can be reckoned with",
    ]


def field(path="a", type="text", **what):
    return Field(path, type, **what)


@pytest.mark.parametrize(
    ("faulty", "fault"),
    [
        (field(minimum=1.0), "minimum is of numbers"),
        (field(type="number", newest=1.0), "newest is of dates"),
        (field(choices=("x",)), "choices are of the type choice"),
        (field(type="choice"), "a choice needs choices"),
        (field(type="choice", choices=("x", "x")), "a choice is there twice"),
        (field(pattern="[a"), "pattern: character 1"),
        (field(follows=("nowhere",)), "follows names nowhere"),
        (field(applies_when=(Condition("nowhere"),)), "applies_when names nowhere"),
        (field(applies_when=(Condition("yes", ("true",)),)), "yes is never 'true'"),
        (field(applies_when=(Condition("one_of", ("y",)),)), "one_of is never 'y'"),
        (field(follows=("maybe",)), "it is required, but follows maybe, which may be absent"),
        (field(follows=("sometimes",)), "it is required, but follows sometimes, which may be absent"),
        (field(follows=("a",)), "go in a circle: a <- a"),
        (field(applies_when=(Condition("back"),)), "go in a circle"),
    ],
)
def test_what_no_record_could_be_held_to_is_a_fault(faulty, fault):
    others = (
        field("yes", "boolean"),
        field("one_of", "choice", choices=("x",)),
        field("maybe", required=False),
        field("sometimes", applies_when=(Condition("yes", (True,)),)),
        field("back", required=False, follows=("a",)),
    )
    found = schema_faults(Schema("claims", (faulty, *others)))
    assert [fault in each for each in found] == [True]


def test_a_field_may_follow_what_is_there_whenever_it_applies_itself():
    same = (Condition("yes", (True,)),)
    fields = (
        field("yes", "boolean"),
        field("maybe", required=False),
        field("sometimes", applies_when=same),
        field("after_maybe", applies_when=(Condition("maybe"),), follows=("maybe",)),
        field("after_sometimes", applies_when=same, follows=("sometimes",)),
        field("optional", required=False, follows=("maybe", "sometimes")),
    )
    assert schema_faults(Schema("claims", fields)) == []


@pytest.mark.parametrize(
    ("rule", "fault"),
    [
        (Rule("order", ("n", "day")), "only numbers have an order, or dates"),
        (Rule("order", ("text", "word")), "only numbers have an order, or dates"),
        (Rule("product", ("n", "text")), "only numbers can be reckoned with"),
        (Rule("equal", ("n", "yes")), "booleans and numbers cannot be compared"),
        (Rule("different", ("n", "n")), "a field is there twice"),
        (Rule("order", ("n", "m")), None),
        (Rule("equal", ("text", "word")), None),
    ],
)
def test_a_rule_compares_what_can_be_compared(rule, fault):
    fields = (field("n", "number"), field("m", "integer"), field("day", "date"), field("yes", "boolean"))
    found = schema_faults(Schema("claims", (*fields, field("text"), field("word", "identifier")), (rule,)))
    assert len(found) == (fault is not None)
    assert fault is None or found[0].endswith(fault)
