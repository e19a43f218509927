"""The schemas that come along: medical, financial, logistics."""

from datetime import date
from typing import Annotated, Literal

import msgspec
import pytest
from pydantic import BaseModel, ValidationError
from pydantic import Field as Bounds

from domain.quality import compiled
from domain.record import Reading
from domain.record_schema import Publish, Published, record_schema
from domain.schema import Condition, Field, Schema
from domain.text_pattern import matches, parts_of
from records.schemas import builtin
from records.schemas.building import Amount, Asked, schema_of
from records.schemas.financial import Invoice
from records.schemas.logistics import Shipment
from records.schemas.medical import Report
from tests.scenario import Scenario

SENT_ON = date(2026, 11, 21)
LANGUAGES = {"en", "fr", "de", "es"}

REPORT = {
    "patient.name": "Ada Example",
    "patient.born_on": "1990-02-28",
    "patient.sex": "female",
    "insurer": "Mutual of Example",
    "insurance_number": "A123456789",
    "seen_on": "2026-11-18",
    "physician": "Dr. Grace Example",
    "diagnosis": "E11.9",
    "treatment": "medication",
    "medication": "Metformin",
    "dose": "500 mg, twice a day",
    "pregnant": True,
    "pregnancy_week": 12,
}
INVOICE = {
    "invoice_number": "RE-2026/0815",
    "issued_on": "2026-11-02",
    "seller.name": "Example GmbH",
    "buyer.name": "Sample SARL",
    "net": 100.0,
    "tax": 19.0,
    "total": 119.0,
    "currency": "EUR",
    "payment_method": "transfer",
    "iban": "DE89370400440532013000",
    "due_on": "2026-12-02",
}
SHIPMENT = {
    "shipment_number": "SH-4711",
    "shipper": "Example GmbH",
    "consignee": "Sample SARL",
    "incoterm": "DAP",
    "place": "Lyon",
    "pieces": 4,
    "gross_kg": 812.5,
    "pickup_on": "2026-11-23",
    "delivery_on": "2026-11-25",
    "dangerous": True,
    "un_number": "UN1203",
    "hazard_class": "3",
    "emergency_phone": "+4930123456",
}
COMPLETE = {"medical": REPORT, "financial": INVOICE, "logistics": SHIPMENT}
MODELS = {"medical": Report, "financial": Invoice, "logistics": Shipment}


def named(name):
    return next(schema for schema in builtin() if schema.name == name)


def assess(name, values):
    readings = {path: Reading(value, "text") for path, value in values.items()}
    return compiled(named(name), 1).assess(readings, (), SENT_ON, (), False, None)


def nested(values):
    """As a model takes them."""
    made = {}
    for path, value in values.items():
        *parents, name = path.split(".")
        inner = made
        for parent in parents:
            inner = inner.setdefault(parent, {})
        inner[name] = value
    return made


@pytest.mark.parametrize("schema", builtin(), ids=lambda each: each.name)
def test_a_schema_that_comes_along_can_be_published(schema):
    Scenario(record_schema).when(Publish(schema)).then(Published(1, schema))
    assert msgspec.json.decode(msgspec.json.encode(schema), type=Schema) == schema


@pytest.mark.parametrize("schema", builtin(), ids=lambda each: each.name)
def test_every_field_has_a_question_and_labels_in_four_languages(schema):
    assert 12 <= len(schema.fields) <= 14
    for field in schema.fields:
        assert field.questions.keys() == field.labels.keys() == LANGUAGES
        assert all(labels and len(set(labels)) == len(labels) for labels in field.labels.values())
    for language in LANGUAGES:
        questions = [field.questions[language] for field in schema.fields]
        assert len(set(questions)) == len(questions)


@pytest.mark.parametrize("name", COMPLETE)
def test_a_complete_record_is_one_for_the_model_and_for_the_check(name):
    found = assess(name, COMPLETE[name])
    assert (found.score, found.flags) == (1.0, ())
    assert MODELS[name].model_validate(nested(COMPLETE[name]))


@pytest.mark.parametrize("name", COMPLETE)
def test_each_missing_field_is_found(name):
    for path in COMPLETE[name]:
        found = assess(name, {each: value for each, value in COMPLETE[name].items() if each != path})
        assert found.missing == found.root_gaps == (path,)


@pytest.mark.parametrize("name", COMPLETE)
def test_of_a_record_that_says_nothing_only_what_must_be_is_asked(name):
    """As the model requires it, but for what follows an answer."""
    found = assess(name, {})
    with pytest.raises(ValidationError) as refused:
        MODELS[name].model_validate({"patient": {}, "seller": {}, "buyer": {}})
    required = {".".join(map(str, error["loc"])) for error in refused.value.errors() if error["type"] == "missing"}
    following = {field.path for field in named(name).fields if field.follows}
    assert set(found.root_gaps) == required - following


@pytest.mark.parametrize(
    ("name", "changed", "not_applicable"),
    [
        ("medical", {"patient.sex": "male"}, ("pregnant", "pregnancy_week")),
        ("medical", {"pregnant": False}, ("pregnancy_week",)),
        ("medical", {"treatment": "none"}, ("medication", "dose")),
        ("financial", {"payment_method": "cash"}, ("iban", "due_on")),
        ("logistics", {"dangerous": False}, ("un_number", "hazard_class", "emergency_phone")),
    ],
)
def test_fields_apply_only_when_they_mean_something(name, changed, not_applicable):
    left = {path: value for path, value in COMPLETE[name].items() if path not in not_applicable} | changed
    found = assess(name, left)
    assert found.not_applicable == not_applicable
    assert (found.score, found.root_gaps) == (1.0, ())


@pytest.mark.parametrize(
    ("name", "changed", "flags"),
    [
        ("medical", {"diagnosis": "diabetes"}, {("wrong_type", "diagnosis")}),
        ("medical", {"patient.born_on": "2027-01-01"}, {("out_of_range", "patient.born_on")}),
        ("medical", {"pregnancy_week": 60}, {("out_of_range", "pregnancy_week")}),
        (
            "medical",
            {"patient.born_on": "2026-11-20"},
            {("contradictory", each) for each in ("patient.born_on", "seen_on")},
        ),
        ("financial", {"total": 120.0}, {("contradictory", each) for each in ("net", "tax", "total")}),
        ("financial", {"due_on": "2026-10-02"}, {("contradictory", each) for each in ("issued_on", "due_on")}),
        ("financial", {"currency": "euros"}, {("wrong_type", "currency")}),
        ("financial", {"iban": "unknown"}, {("wrong_type", "iban")}),
        ("logistics", {"net_kg": 900.0}, {("contradictory", each) for each in ("net_kg", "gross_kg")}),
        (
            "logistics",
            {"delivery_on": "2026-11-22"},
            {("contradictory", each) for each in ("pickup_on", "delivery_on")},
        ),
        ("logistics", {"consignee": "Example GmbH"}, {("contradictory", each) for each in ("shipper", "consignee")}),
        ("logistics", {"pieces": 2.5}, {("wrong_type", "pieces")}),
        ("logistics", {"hazard_class": "10"}, {("out_of_range", "hazard_class")}),
    ],
)
def test_what_is_wrong_is_flagged(name, changed, flags):
    assert {(flag.kind, flag.path) for flag in assess(name, COMPLETE[name] | changed).flags} == flags


def test_the_invoice_of_the_page_on_quality_scores_as_it_says_there():
    found = assess(
        "financial",
        {path: INVOICE[path] for path in INVOICE if path not in ("buyer.name", "iban", "due_on")}
        | {"total": 120.0, "payment_method": "cash"},
    )
    assert (found.score, found.completeness, found.validity) == (7 / 13, 12 / 13, 7 / 12)


@pytest.mark.parametrize("code", ["A00", "E11.9", "U07.1", "S72.00XA", "O80", "M16.1"])
def test_codes_of_diagnoses_are_known(code):
    pattern = next(field.pattern for field in named("medical").fields if field.path == "diagnosis")
    assert matches(parts_of(pattern), code)


class Person(BaseModel):
    age: Annotated[int, Bounds(ge=0, le=150)]


class Claim(BaseModel):
    """A claim"""

    person: Person
    level: Literal["low", "high"]
    sum: Annotated[Amount | None, Asked(weight=2, when=(Condition("level", ("high",)),)), Bounds(ge=0)] = None
    when: date | None = None
    note: Annotated[str, Asked(optional=True)]


def test_a_model_becomes_a_schema():
    words = {path: {"en": (f"{path}?", path)} for path in ("person.age", "level", "sum", "when", "note")}
    said = {path: {"labels": {"en": (path,)}, "questions": {"en": f"{path}?"}} for path in words}
    assert schema_of("claims", Claim, words) == Schema(
        "claims",
        (
            Field("person.age", "integer", minimum=0, maximum=150, **said["person.age"]),
            Field("level", "choice", choices=("low", "high"), **said["level"]),
            Field("sum", "amount", weight=2, minimum=0, applies_when=(Condition("level", ("high",)),), **said["sum"]),
            Field("when", "date", required=False, **said["when"]),
            Field("note", required=False, **said["note"]),
        ),
        title="A claim",
    )


def test_words_are_of_the_fields():
    with pytest.raises(ValueError, match="too many: age, person"):
        schema_of("people", Claim.model_fields["person"].annotation, {"person.age": {}})


class Strange(BaseModel):
    what: bytes


def test_a_type_that_no_schema_knows_is_refused():
    with pytest.raises(TypeError, match="what: no schema knows"):
        schema_of("strange", Strange, {"what": {}})
