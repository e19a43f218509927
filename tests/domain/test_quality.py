"""How good a record is: what is missing, wrong, not applicable; what it scores; what is asked for."""

from datetime import date

import pytest

from domain.flag import Flag
from domain.quality import compiled
from domain.record import Reading
from domain.schema import Condition, Field, Rule, Schema

SENT_ON = date(2026, 11, 21)

ORDER = Schema(
    "orders",
    (
        Field("number", "identifier", weight=2.0),
        Field("kind", "choice", choices=("goods", "service"), weight=3.0),
        Field("kilos", "number", minimum=0.5, maximum=100.0, applies_when=(Condition("kind", ("goods",)),)),
        Field("box", applies_when=(Condition("kind", ("goods",)),), follows=("kilos",), weight=4.0),
        Field("note", required=False),
        Field("net", "amount"),
        Field("tax", "amount"),
        Field("total", "amount"),
        Field("ordered_on", "date", oldest=-100.0, newest=0.0),
        Field("due_on", "date"),
    ),
    (Rule("sum", ("net", "tax", "total")), Rule("order", ("ordered_on", "due_on"))),
)
COMPLETE = {
    "number": "A-1",
    "kind": "goods",
    "kilos": 4.5,
    "box": "a crate",
    "net": 100.0,
    "tax": 19.0,
    "total": 119.0,
    "ordered_on": "2026-11-01",
    "due_on": "2026-12-01",
}
SERVICE = {path: value for path, value in COMPLETE.items() if path not in ("kilos", "box")} | {"kind": "service"}
CHECK = compiled(ORDER, 3)


def readings(values):
    return {path: value if isinstance(value, Reading) else Reading(value, "text") for path, value in values.items()}


def assess(values, refused=(), flags=(), late=False, duplicate_of=None, check=CHECK):
    return check.assess(readings(values), refused, SENT_ON, flags, late, duplicate_of)


def without(*paths):
    return {path: value for path, value in COMPLETE.items() if path not in paths}


def kinds(assessment):
    return [(flag.kind, flag.path) for flag in assessment.flags]


def test_a_complete_record_scores_one_and_asks_nothing():
    found = assess(COMPLETE)
    assert (found.score, found.completeness, found.validity) == (1.0, 1.0, 1.0)
    assert (found.missing, found.invalid, found.doubtful, found.root_gaps, found.flags) == ((), (), (), (), ())
    assert (found.schema_name, found.schema_version) == ("orders", 3)


def test_what_is_missing_is_named_weighs_and_is_asked_for_in_the_order_of_the_schema():
    found = assess(without("due_on", "number", "note"))
    assert found.missing == found.root_gaps == ("number", "due_on")
    assert found.score == found.completeness == (15 - 2 - 1) / 15
    assert found.validity == 1.0


def test_blank_text_is_missing():
    assert assess(COMPLETE | {"number": " \n", "box": "", "kind": None}).missing == ("number", "kind", "box")


def test_what_does_not_apply_leaves_the_sums_and_is_not_asked_for():
    found = assess(SERVICE)
    assert found.not_applicable == ("kilos", "box")
    assert (found.score, found.root_gaps) == (1.0, ())
    assert assess(SERVICE | {"kilos": "heavy"}).flags == ()


def test_while_it_is_open_whether_a_field_applies_it_counts_as_missing_and_is_not_asked_for():
    found = assess(without("kind", "kilos", "box"))
    assert found.missing == ("kind", "kilos", "box")
    assert found.root_gaps == ("kind",)
    assert found.not_applicable == ()
    assert found.score == 7 / 15


def test_while_it_is_open_whether_a_field_applies_a_right_value_of_it_leaves_the_sums():
    found = assess(without("kind"))
    assert found.missing == found.root_gaps == ("kind",)
    assert found.score == 7 / 10


def test_a_wrong_value_of_the_field_that_decides_leaves_it_open_too():
    found = assess(without("kilos", "box") | {"kind": "animal"})
    assert found.missing == ("kilos", "box")
    assert found.root_gaps == ("kind",)


def test_a_deciding_field_that_nobody_asks_for_decides_as_absent():
    schema = Schema("x", (Field("hint", required=False), Field("more", applies_when=(Condition("hint"),))))
    check = compiled(schema, 1)
    assert assess({}, check=check).not_applicable == ("more",)
    assert assess({"hint": 3.0}, check=check).not_applicable == ("more",)
    assert assess({"hint": "yes"}, check=check).root_gaps == ("more",)


def test_conditions_decide_through_each_other():
    chained = Schema(
        "x",
        (
            Field("third", applies_when=(Condition("second", (True,)),)),
            Field("second", "boolean", applies_when=(Condition("first", (True,)),)),
            Field("first", "boolean"),
        ),
    )
    check = compiled(chained, 1)
    assert assess({}, check=check).root_gaps == ("first",)
    assert assess({"first": True}, check=check).root_gaps == ("second",)
    assert assess({"first": True, "second": True}, check=check).root_gaps == ("third",)
    assert assess({"first": False, "second": True}, check=check).not_applicable == ("third", "second")
    assert assess({"second": False}, check=check).not_applicable == ("third",)


def test_a_field_is_asked_for_once_those_that_it_follows_are_there_and_right():
    assert assess(without("kilos", "box")).root_gaps == ("kilos",)
    assert assess(without("box") | {"kilos": 900.0}).root_gaps == ("kilos",)
    assert assess(without("box") | {"kilos": Reading(4.5, "text", 0.1)}).root_gaps == ("box",)


def test_what_is_refused_counts_nothing_and_closes_the_question():
    found = assess(without("number"), refused=("number", "elsewhere"))
    assert found.missing == ("number",)
    assert found.root_gaps == ()
    assert found.score == 13 / 15
    assert found.flags == (Flag("refused", "number"),)


def test_a_right_value_goes_before_a_refusal():
    assert assess(COMPLETE, refused=("number",)) == assess(COMPLETE)


@pytest.mark.parametrize(
    ("path", "value", "kind"),
    [
        ("kilos", "4.5", "wrong_type"),
        ("kilos", True, "wrong_type"),
        ("kilos", float("nan"), "wrong_type"),
        ("kilos", float("inf"), "wrong_type"),
        ("kilos", 0.4, "out_of_range"),
        ("kilos", 100.5, "out_of_range"),
        ("number", 7.0, "wrong_type"),
        ("kind", "animal", "out_of_range"),
        ("kind", False, "wrong_type"),
        ("ordered_on", "1 November", "wrong_type"),
        ("ordered_on", "20261101", "wrong_type"),
        ("ordered_on", "2026-W44-1", "wrong_type"),
        ("ordered_on", 20261101.0, "wrong_type"),
        ("ordered_on", "2026-02-30", "out_of_range"),
        ("ordered_on", "2026-11-22", "out_of_range"),
        ("ordered_on", "2026-08-12", "out_of_range"),
    ],
)
def test_a_wrong_value_is_flagged_by_kind_counts_nothing_and_is_asked_for_anew(path, value, kind):
    found = assess(COMPLETE | {path: value})
    assert kinds(found) == [(kind, path)]
    assert found.flags[0].detail
    assert found.invalid == (path,)
    assert path in found.root_gaps
    assert found.completeness == 1.0
    assert found.score == found.validity < 1.0


@pytest.mark.parametrize(
    ("path", "value"),
    [("kilos", 0.5), ("kilos", 100), ("ordered_on", "2026-11-21"), ("ordered_on", "2026-08-13"), ("kind", "goods")],
)
def test_bounds_are_within(path, value):
    assert assess(COMPLETE | {path: value}).flags == ()


@pytest.mark.parametrize(
    ("type", "right", "wrong"),
    [
        ("email", ["a@b.de", "very.long+tag@sub.example.org"], ["a@b", "@b.de", "a b@c.de", "a@b..de", "a@b.de\n"]),
        ("phone", ["+4915112345678", "+12025550123"], ["015112345678", "+0151", "+49 151", "call me"]),
        ("identifier", ["RE-2026/0815", "№ 7"], ["---", "two\nlines", "x" * 201]),
        ("boolean", [True, False], ["true", 1.0]),
        ("integer", [3, 3.0, -7], [3.5, 2.0**60, "3"]),
        ("amount", [12.5, 0, -3], ["12.50", False]),
    ],
)
def test_each_type_has_its_form(type, right, wrong):
    check = compiled(Schema("x", (Field("it", type),)), 1)
    assert [value for value in right if assess({"it": value}, check=check).flags] == []
    assert [value for value in wrong if kinds(assess({"it": value}, check=check)) != [("wrong_type", "it")]] == []


@pytest.mark.parametrize("pattern", [r"[A-Z]\d+", r"[A-Z]?[A-Z]?\d*\d+\d*"])
def test_a_pattern_holds_for_all_of_the_text_however_it_is_matched(pattern):
    check = compiled(Schema("x", (Field("it", pattern=pattern),)), 1)
    assert assess({"it": "A123"}, check=check).score == 1.0
    assert [assess({"it": text}, check=check).score for text in ("A123\n", "A", "A" + "1" * 1_000)] == [0, 0, 0]


def test_no_pattern_takes_long():
    """Backtracking would try more ways than there are atoms in the world."""
    check = compiled(Schema("x", (Field("it", pattern="a*" * 50 + "b"),)), 1)
    assert assess({"it": "a" * 500}, check=check).invalid == ("it",)


def test_what_contradicts_is_flagged_on_every_side_and_asked_for():
    found = assess(COMPLETE | {"total": 120.0})
    assert kinds(found) == [("contradictory", path) for path in ("net", "tax", "total")]
    assert found.flags[0].detail == "not so: net + tax = total"
    assert found.root_gaps == found.invalid == ("net", "tax", "total")
    assert found.score == 12 / 15


@pytest.mark.parametrize(
    ("rule", "good", "bad"),
    [
        (Rule("order", ("a", "b", "c")), (1, 1, 2), (1, 3, 2)),
        (Rule("sum", ("a", "b", "c"), 0.01), (0.1, 0.2, 0.31), (0.1, 0.2, 0.32)),
        (Rule("sum", ("a", "b", "c"), 0), (0.1, 0.2, 0.3), (0.1, 0.2, 0.301)),
        (Rule("product", ("a", "b", "c")), (3, 4.5, 13.5), (3, 4.5, 13)),
        (Rule("equal", ("a", "b", "c")), (2, 2.0, 2.004), (2, 2, 3)),
        (Rule("different", ("a", "b", "c")), (1, 2, 3), (1, 2, 1)),
    ],
)
def test_what_rules_hold_together(rule, good, bad):
    check = compiled(Schema("x", (Field("a", "number"), Field("b", "number"), Field("c", "number")), (rule,)), 1)
    assert assess(dict(zip("abc", good, strict=True)), check=check).flags == ()
    assert kinds(assess(dict(zip("abc", bad, strict=True)), check=check)) == [("contradictory", each) for each in "abc"]


def test_each_rule_that_is_broken_is_named():
    schema = Schema(
        "x", (Field("a", "integer"), Field("b", "integer")), (Rule("order", ("a", "b")), Rule("equal", ("a", "b")))
    )
    doubtful = Reading(2, "text", 0.3)
    found = assess({"a": doubtful, "b": 1}, check=compiled(schema, 1))
    assert kinds(found) == [("doubtful", "a"), *[("contradictory", "a")] * 2, *[("contradictory", "b")] * 2]
    assert [flag.detail for flag in found.flags[-2:]] == ["not so: a <= b", "not so: a = b"]
    assert (found.invalid, found.doubtful) == (("a", "b"), ())


def test_a_rule_waits_until_all_its_fields_are_there_and_right():
    assert kinds(assess(without("tax") | {"total": 120.0})) == []
    assert kinds(assess(COMPLETE | {"tax": "19", "total": 120.0})) == [("wrong_type", "tax")]


def test_a_rule_passes_over_what_does_not_apply():
    schema = Schema(
        "x",
        (Field("on", "boolean"), Field("a", "number"), Field("b", "number", applies_when=(Condition("on", (True,)),))),
        (Rule("order", ("a", "b")),),
    )
    assert assess({"on": False, "a": 2.0, "b": 1.0}, check=compiled(schema, 1)).flags == ()
    assert len(assess({"on": True, "a": 2.0, "b": 1.0}, check=compiled(schema, 1)).flags) == 2


def test_what_is_contradicted_decides_nothing():
    schema = Schema(
        "x",
        (Field("a", "integer"), Field("b", "integer"), Field("more", applies_when=(Condition("a", (1,)),))),
        (Rule("equal", ("a", "b")),),
    )
    found = assess({"a": 2, "b": 1}, check=compiled(schema, 1))
    assert found.not_applicable == ()
    assert found.root_gaps == ("a", "b")


@pytest.mark.parametrize("reading", [Reading(4.5, "text", 0.49), Reading(4.5, "attachment", 0.9, "two numbers there")])
def test_a_doubtful_reading_counts_half_and_is_not_asked_for(reading):
    found = assess(COMPLETE | {"kilos": reading})
    assert kinds(found) == [("doubtful", "kilos")]
    assert found.flags[0].detail == (reading.doubtful or "read with a confidence of 0.49")
    assert (found.doubtful, found.root_gaps) == (("kilos",), ())
    assert found.completeness == 1.0
    assert found.score == found.validity == 14.5 / 15


def test_flags_of_the_record_come_first_and_change_no_score():
    blurred = Flag("unreadable", "scan.png", "blurred")
    found = assess(COMPLETE | {"kilos": "x"}, flags=(blurred, blurred), late=True, duplicate_of="first")
    assert kinds(found) == [("unreadable", "scan.png"), ("duplicate", None), ("late", None), ("wrong_type", "kilos")]
    assert found.flags[1].detail == "the same as first"
    assert found.score == assess(COMPLETE | {"kilos": "x"}).score


def test_what_was_flagged_about_a_field_is_settled_when_somebody_has_said_what_it_is():
    unreadable = Flag("unreadable", "total")
    assert kinds(assess(without("total"), flags=(unreadable,))) == [("unreadable", "total")]
    assert assess(COMPLETE | {"total": Reading(119.0, "answer")}, flags=(unreadable,)).flags == ()


def test_optional_fields_are_in_no_sum_but_what_is_wrong_with_them_is_said():
    found = assess(COMPLETE | {"note": 7.0})
    assert (found.score, found.invalid, found.root_gaps) == (1.0, ("note",), ())
    assert kinds(found) == [("wrong_type", "note")]


def test_of_nothing_the_score_is_zero_and_nothing_of_it_is_wrong():
    found = assess({})
    assert (found.score, found.completeness, found.validity) == (0.0, 0.0, 1.0)


def test_a_schema_that_asks_for_nothing_is_always_complete():
    assert assess({}, check=compiled(Schema("x", (Field("a", required=False),)), 1)).score == 1.0


@pytest.mark.parametrize(
    "schema",
    [
        Schema("x", (Field("a", follows=("b",)),)),
        Schema("x", (Field("a", applies_when=(Condition("a"),)),)),
        Schema("x", (Field("a", pattern="(a)"),)),
        Schema("x", (Field("a"),), (Rule("equal", ("a", "b")),)),
    ],
)
def test_a_schema_that_makes_no_sense_is_no_check(schema):
    with pytest.raises(ValueError, match=r"no field b|cycle|character 1"):
        compiled(schema, 1)
