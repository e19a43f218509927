"""Replies to questions: labelled, numbered, whole, refused, in four languages."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from records.analyse.answers import Answer, is_refusal, read_answer
from tests.records.analyse.invoices import FIELDS, IBAN, ISSUED, PAID, SELLER, TOTAL

GAPS = (ISSUED, IBAN, SELLER)
NUMBER = "DE89370400440532013000"


@pytest.mark.parametrize(
    ("text", "values", "refused"),
    [
        ("1. 12 May 2026\n2. DE89 3704 0044 0532 0130 00\n3. Acme Ltd", ["2026-05-12", NUMBER, "Acme Ltd"], ()),
        ("2) DE89 3704 0044 0532 0130 00\n3) I don't know", [None, NUMBER, None], ("seller.name",)),
        ("(1) date: 12 May 2026\n(3) Acme\nMetal Works", ["2026-05-12", None, "Acme Metal Works"], ()),
        ("Invoice date: 3 June 2026\nsupplier: Acme Ltd", ["2026-06-03", None, "Acme Ltd"], ()),
        ("Supplier: Acme. I won't tell the IBAN.", [None, None, "Acme"], ("iban",)),
        ("Je ne sais pas", [None] * 3, ("issued_on", "iban", "seller.name")),
        ("1. soon", ["soon", None, None], ()),
        ("Hello, thanks for asking!", [None] * 3, ()),
        ("1. 12 May 2026\n\nOn Monday, Sagacity wrote:\n> 2. What is the IBAN?", ["2026-05-12", None, None], ()),
        ("> 1. Which date?\n> 2. Which IBAN?\n1. 12 May 2026", ["2026-05-12", None, None], ()),
        ("", [None] * 3, ()),
    ],
)
def test_a_reply_to_three_questions(text, values, refused):
    answer = read_answer(text, {}, GAPS, "en")
    assert [answer.values.get(field.path) for field in GAPS] == values
    assert answer.refused == refused


def test_the_whole_text_answers_one_question():
    assert read_answer("Harrow & Finch", {}, [SELLER], "en").values == {"seller.name": "Harrow & Finch"}
    assert read_answer("It was on the 4th of July 2026, sorry!", {}, [ISSUED], "en").values == {
        "issued_on": "2026-07-04"
    }
    assert read_answer("Das waren 12,50 EUR", {}, [TOTAL], "de").values == {"total": 12.5}
    assert read_answer("Sí, ayer", {}, [PAID], "es").values == {"paid": True}
    assert read_answer("no", {}, [PAID], "en") == Answer({"paid": False}, ())
    assert read_answer("soon", {}, [ISSUED], "en").values == {"issued_on": "soon"}, "kept: the check says so"


def test_data_answers_by_path():
    answer = read_answer("", {"seller": {"name": "Acme"}, "issuedOn": "2026-04-01"}, GAPS, "en")
    assert answer.values == {"seller.name": "Acme", "issued_on": "2026-04-01"}


def test_no_gaps_have_no_answer():
    assert read_answer("1. 5", {"total": 1}, (), "en") == Answer({}, ())


@pytest.mark.parametrize(
    "text",
    [
        "I don't know", "I don’t know, sorry", "no idea", "not applicable", "N/A", "I'd rather not say",
        "We can't tell",
        "Je ne sais pas", "Aucune idée", "sans objet", "Je ne veux pas le dire", "Je préfère ne pas répondre",
        "Weiß ich nicht", "Das weiß ich leider nicht", "Ich weiß es nicht", "keine Ahnung", "keine Angabe",
        "Das möchte ich nicht sagen", "trifft nicht zu",
        "No lo sé", "no sabemos", "ni idea", "no aplica", "Prefiero no decirlo", "no quiero decirlo",
    ],
)  # fmt: skip
def test_refusals_of_four_languages(text):
    assert is_refusal(text)
    assert read_answer(text, {}, [SELLER], "en") == Answer({}, ("seller.name",))


@pytest.mark.parametrize("text", ["no", "nein", "Noah Knows Ltd", "12 May", "yes, we know", "Sabine Wissen", "no 5"])
def test_what_is_no_refusal(text):
    assert not is_refusal(text)


@given(st.text(max_size=300), st.lists(st.sampled_from(FIELDS), max_size=5, unique_by=lambda field: field.path))
@settings(max_examples=80, deadline=None)
def test_any_reply_is_read(text, gaps):
    answer = read_answer(text, {}, gaps, "en")
    paths = {field.path for field in gaps}
    assert set(answer.values) | set(answer.refused) <= paths
    assert not set(answer.values) & set(answer.refused)
