"""What holds of every record of every schema that can be published."""

from datetime import date

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from domain.quality import compiled
from domain.record import Reading
from domain.schema import Condition, Field, Schema
from domain.schema_faults import schema_faults
from tests.domain.quality_formula import Formula

SENT_ON = date(2026, 11, 21)
RIGHT = {"boolean": [True, False], "choice": ["x", "y"], "number": [1.0, 2.0]}
WRONG = {"boolean": ["yes"], "choice": ["z", 3.0], "number": ["one", True, 10.0]}


@st.composite
def fields(draw, path, before):
    type = draw(st.sampled_from(["boolean", "choice", "number"]))
    deciders = draw(st.lists(st.sampled_from(before), max_size=2, unique_by=lambda each: each.path)) if before else []
    conditions = tuple(
        Condition(each.path, tuple(draw(st.lists(st.sampled_from(RIGHT[each.type]), max_size=1)))) for each in deciders
    )
    followed = draw(st.lists(st.sampled_from(before), max_size=2, unique_by=lambda each: each.path)) if before else []
    return Field(
        path,
        type,
        required=draw(st.booleans() | st.just(True)),
        weight=draw(st.sampled_from([0.5, 1.0, 2.0, 3.0])),
        applies_when=conditions,
        follows=tuple(each.path for each in followed),
        maximum=5.0 if type == "number" else None,
        choices=("x", "y") if type == "choice" else (),
    )


@st.composite
def schemas(draw):
    known = []
    for number in range(draw(st.integers(1, 7))):
        known.append(draw(fields(f"f{number}", known)))
    return Schema("x", tuple(draw(st.permutations(known))))


@st.composite
def records(draw):
    """(schema, fact of each field, its reading, what is refused)"""
    schema = draw(schemas())
    facts = {field.path: draw(st.sampled_from(["missing", "wrong", "doubtful", "right"])) for field in schema.fields}
    readings = {}
    for field in schema.fields:
        fact = facts[field.path]
        if fact == "missing":
            continue
        value = draw(st.sampled_from(WRONG[field.type] if fact == "wrong" else RIGHT[field.type]))
        readings[field.path] = Reading(value, "text", 0.2 if fact == "doubtful" else 0.9)
    refused = draw(st.lists(st.sampled_from(schema.fields).map(lambda each: each.path), max_size=2))
    return schema, facts, readings, refused


def assess(schema, readings, refused=()):
    return compiled(schema, 1).assess(readings, refused, SENT_ON, (), False, None)


@given(records())
@settings(deadline=None, max_examples=40)
def test_the_assessment_is_what_the_formula_says(record):
    schema, facts, readings, refused = record
    found = assess(schema, readings, refused)
    values = {path: reading.value for path, reading in readings.items()}
    expected = Formula(schema, facts, values, refused).expected()
    assert (found.score, found.completeness, found.validity) == expected[:3]
    assert (set(found.missing), set(found.not_applicable), set(found.root_gaps)) == expected[3:]


@given(records())
@settings(deadline=None)
def test_scores_are_shares_and_the_score_is_the_product_of_the_other_two(record):
    found = assess(record[0], *record[2:])
    assert all(0 <= each <= 1 for each in (found.score, found.completeness, found.validity))
    assert abs(found.score - found.completeness * found.validity) < 1e-12


@given(records())
@settings(deadline=None)
def test_only_what_is_missing_or_wrong_and_required_is_asked_for(record):
    schema, _, readings, refused = record
    found = assess(schema, readings, refused)
    assert set(found.root_gaps) <= {*found.missing, *found.invalid} - {*refused, *found.not_applicable}
    assert {field.path for field in schema.fields if field.required} >= set(found.root_gaps)
    assert list(found.root_gaps) == [field.path for field in schema.fields if field.path in found.root_gaps]


@given(records(), st.data())
@settings(deadline=None)
def test_what_does_not_apply_changes_nothing_whatever_its_value(record, data):
    schema, _, readings, refused = record
    found = assess(schema, readings, refused)
    assume(found.not_applicable)
    path = data.draw(st.sampled_from(found.not_applicable))
    value = data.draw(st.sampled_from([None, "nonsense", 1.0, True]))
    assert assess(schema, readings | {path: Reading(value, "text")}, refused) == found


@given(records(), st.data())
@settings(deadline=None, max_examples=40)
def test_a_right_answer_to_what_is_asked_never_lowers_the_score(record, data):
    """Whatever then applies, or does not any more."""
    schema, _, readings, refused = record
    found = assess(schema, readings, refused)
    assume(found.root_gaps)
    path = data.draw(st.sampled_from(found.root_gaps))
    type = next(field.type for field in schema.fields if field.path == path)
    answer = Reading(data.draw(st.sampled_from(RIGHT[type])), "answer")
    assert assess(schema, readings | {path: answer}, refused).score >= found.score


@given(records(), st.data())
@settings(deadline=None, max_examples=40)
def test_right_answers_to_all_that_is_asked_lead_to_a_record_without_gaps(record, data):
    """Of a schema that can be published, no field stays behind that nobody would ever ask for."""
    schema, _, readings, _ = record
    assume(not schema_faults(schema))
    types = {field.path: field.type for field in schema.fields}
    asked = []
    while gaps := assess(schema, readings).root_gaps:
        asked += gaps
        answers = {path: Reading(data.draw(st.sampled_from(RIGHT[types[path]])), "answer") for path in gaps}
        readings = readings | answers
    found = assess(schema, readings)
    assert found.missing == ()
    assert found.completeness == 1.0
    assert len(asked) == len(set(asked))
