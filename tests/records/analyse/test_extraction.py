"""Fields of a schema in what messages say: as data, in tables, behind labels, as what is left over."""

import string
from time import perf_counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.record import Found, Reading
from domain.schema import Field
from records.analyse.extraction import Extractor
from tests.records.analyse.invoices import FIELDS, ISSUED, NUMBER, SELLER, TOTAL

EXTRACTOR = Extractor(FIELDS)
LETTER = """Dear colleague,

please find our invoice.

Invoice number: INV-2026-0417
Invoice date: 12 March 2026
Supplier: Harrow & Finch Ltd; phone +44 20 7946 0958
Items: 3
Weight (kg): 12.5
Total: 1,500.00 GBP
Payment method: Transfer
IBAN: DE89 3704 0044 0532 0130 00
Paid: no

Kind regards, Ann Lowell <ann@harrow.example>
"""


def read(text="", data=None, tables=(), entities=(), language="en", own=None, extractor=EXTRACTOR):
    return extractor.extract(text, data or {}, tables, entities, language, own)


def values(*args, **kwargs):
    return {path: reading.value for path, reading in read(*args, **kwargs).items()}


def test_a_letter_with_labels_is_read_whole():
    entities = (Found("email", "ann@harrow.example", "ann@harrow.example"), Found("amount", "1500 GBP", "1,500.00 GBP"))
    found = read(LETTER, entities=entities)
    assert {path: reading.value for path, reading in found.items()} == {
        "invoice_number": "INV-2026-0417",
        "issued_on": "2026-03-12",
        "seller.name": "Harrow & Finch Ltd",
        "total": 1500.0,
        "items": 3.0,
        "weight": 12.5,
        "paid": False,
        "method": "transfer",
        "contact.email": "ann@harrow.example",
        "contact.phone": "+442079460958",
        "iban": "DE89370400440532013000",
        "currency": "GBP",
    }
    assert not any(reading.doubtful for reading in found.values())
    assert (found["total"].origin, found["contact.email"].origin) == ("text", "entity")
    assert found["contact.email"].confidence < found["contact.phone"].confidence


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        (
            "de",
            "Rechnungs-Nr.: 4711\nRechnungsdatum: 3.2.2026\nGesamtbetrag 1.059,10 EUR",
            [4711, "2026-02-03", 1059.1],
        ),
        (
            "fr",
            "Facture n° FA-8\nDate de facture : 3 février 2026\nTotal TTC : 1 059,10 €",
            ["FA-8", "2026-02-03", 1059.1],
        ),
        ("es", "Invoice no A-1\nFecha: 3 de febrero de 2026\nTotal\n1.059,10 €", ["A-1", "2026-02-03", 1059.1]),
    ],
)
def test_labels_and_values_of_four_languages(language, text, expected):
    found = values(text, language=language)
    assert [found[path] for path in ("invoice_number", "issued_on", "total")] == [str(expected[0]), *expected[1:]]


def test_labels_of_another_language_are_believed_a_little_less():
    german = read("Rechnungsnummer: A-1", language="de")["invoice_number"]
    english = read("Rechnungsnummer: A-1", language="en")["invoice_number"]
    assert german.value == english.value == "A-1"
    assert german.confidence > english.confidence


def test_data_is_found_by_path_and_by_what_can_only_be_that_field():
    data = {
        "seller": {"name": "Acme"},
        "total": "12,50",
        "invoiceNumber": 4711,
        "paid": True,
        "contact": {"email": None},
    }
    found = read(data=data, language="de")
    assert {path: (reading.value, reading.origin, reading.confidence) for path, reading in found.items()} == {
        "seller.name": ("Acme", "data", 1.0),
        "total": (12.5, "data", 1.0),
        "invoice_number": ("4711", "data", 1.0),
        "paid": (True, "data", 1.0),
    }


def test_a_name_that_two_members_have_is_nobodys():
    assert values(data={"a": {"total": 1}, "b": {"total": 2}}) == {}
    assert values(data={"order": {"total": 1}}) == {"total": 1.0}


def test_a_table_says_it_beside_a_label_or_below_a_header():
    beside = (("Invoice number", "A-1"), ("Total", "", "12.50"))
    below = (("Invoice no", "Date", "What"), ("A-2", "2026-03-12", "screws"))
    assert values(tables=[beside]) == {"invoice_number": "A-1", "total": 12.5}
    assert values(tables=[below]) == {"invoice_number": "A-2", "issued_on": "2026-03-12"}
    assert read(tables=[beside])["total"].origin == "attachment"


def test_a_column_of_several_rows_is_doubtful():
    found = read(tables=[(("Items", "Total"), ("3", "10.00"), ("4", "20.00"))])
    assert found["total"].value == 10.0
    assert found["total"].doubtful == "elsewhere it is '20.0'"


def test_contradicting_values_are_doubtful_and_the_surest_first_one_is_kept():
    found = read("Total: 10.00\nTotal: 20.00")["total"]
    assert (found.value, found.doubtful) == (10.0, "elsewhere it is '20.0'")
    found = read("Total: 20.00", data={"total": 10})["total"]
    assert (found.value, found.origin, bool(found.doubtful)) == (10.0, "data", True)
    assert read("Total: 10.00\nTotal: 10,00 EUR")["total"].doubtful == ""


def test_what_is_not_of_its_type_is_kept_as_it_is_written():
    found = read("Total: about a thousand\nInvoice date: next week")
    assert found["total"] == Reading("about a thousand", "text", 0.3)
    assert found["issued_on"].value == "next week"
    assert values("Total: see below\nTotal: 12.00") == {"total": 12.0}, "unless it is said rightly elsewhere"


def test_a_value_ends_where_the_next_label_begins():
    found = values("Supplier: Acme, Total: 5.00, Paid: yes")
    assert found == {"seller.name": "Acme", "total": 5.0, "paid": True}


def test_a_value_may_be_on_the_next_line():
    assert values("Invoice number\nA-17\n\nSupplier:\n  Acme Ltd\n") == {
        "invoice_number": "A-17",
        "seller.name": "Acme Ltd",
    }
    assert values("Supplier:\nTotal: 5.00") == {"total": 5.0}


def test_a_label_of_something_else_is_not_taken_for_sure():
    found = read("Delivery date: 2026-05-01")["issued_on"]
    assert found.doubtful == "the label may be part of another one"
    assert values("Delivery date: 2026-05-01\nDate: 2026-03-12")["issued_on"] == "2026-03-12"
    assert "total" not in values("totally: 5")


def test_without_a_colon_only_what_can_hardly_be_anything_else_is_taken():
    assert values("we paid the total of 12.50 EUR, invoice no A-1 from our supplier yesterday") == {
        "total": 12.5,
        "invoice_number": "A-1",
    }
    assert read("our supplier Acme Metal Works is late")["seller.name"].doubtful == "it only follows the label"


def test_what_is_in_an_attachment_is_from_there():
    text = "Total: 5.00\nSupplier: Acme"
    found = read(text, own=12)
    assert (found["total"].origin, found["seller.name"].origin) == ("text", "attachment")


def test_an_entity_is_taken_where_it_is_the_only_one_for_the_only_field():
    day, other = Found("date", "2026-03-12", "12 March"), Found("date", "2026-03-13", "13 March")
    found = read(entities=(day,))["issued_on"]
    assert (found.value, found.origin, found.doubtful) == ("2026-03-12", "entity", "no label says that it is this one")
    assert read(entities=(day, other)) == {}
    two = Extractor((ISSUED, Field("due_on", "date")))
    assert read(entities=(day,), extractor=two) == {}, "it could be either"
    said = read("Date: 2026-03-12", entities=(day,), extractor=two)
    assert list(said) == ["issued_on"], "it is somebody's already"


def test_an_entity_that_the_field_does_not_allow_is_not_taken():
    assert read(entities=(Found("amount", "-5 EUR", "-5 €"),), extractor=Extractor((TOTAL,))) == {}


def test_the_currency_is_that_of_all_sums():
    euros = Found("amount", "5 EUR", "5 €"), Found("amount", "6 EUR", "6 €")
    assert values(entities=euros)["currency"] == "EUR"
    assert "currency" not in values(entities=(*euros, Found("amount", "6 USD", "$6")))


def test_missing_fields_stay_missing():
    """Whichever line is left out, just that field is missing."""
    lines = LETTER.splitlines()[4:-2]
    whole = set(values("\n".join(lines)))
    for left_out in lines:
        found = set(values("\n".join(line for line in lines if line != left_out)))
        assert found < whole or not left_out.strip()


def test_a_plain_message_takes_at_most_two_milliseconds():
    def seconds():
        begun = perf_counter()
        read(LETTER)
        return perf_counter() - begun

    assert min(seconds() for _ in range(50)) < 0.002


@pytest.mark.parametrize(
    "text",
    [
        "total " * 30_000,
        "Total: " * 25_000,
        "date\n" * 40_000,
        "total" + ":" * 150_000,
        "Total: " + "1," * 90_000,
        "-( " * 60_000,
    ],
    ids=["labels", "strong labels", "lines", "separators", "one number", "signs"],
)  # fmt: skip
def test_long_strange_texts_take_no_longer_than_their_length(text):
    begun = perf_counter()
    read(text)
    assert perf_counter() - begun < 5


WORDS = st.sampled_from(
    [
        "Invoice number",
        "date",
        "Total",
        "supplier:",
        "IBAN",
        ":",
        "\n",
        "\t",
        "1.234,50",
        "12/03/2026",
        "-",
        "²",
        "٣",
        "😀",
        "no",
    ]
)
TEXTS = st.one_of(
    st.text(max_size=300), st.lists(WORDS, max_size=30).map(" ".join), st.text(string.printable, max_size=200)
)
NAMES = st.sampled_from(["total", "x", "invoice_number", "paid", ""])
DATA = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=8,
)  # fmt: skip


KINDS = st.sampled_from(["amount", "date", "email", "phone", "identifier"])


@given(
    TEXTS,
    st.dictionaries(st.sampled_from(["total", "items", "iban", "seller", "a.b", ""]), DATA, max_size=4),
    st.lists(st.lists(st.lists(TEXTS, max_size=3), max_size=3), max_size=2),
    st.lists(st.builds(Found, KINDS, TEXTS, TEXTS), max_size=3),
    st.sampled_from(["en", "fr", "de", "es", "xx"]),
)  # fmt: skip
@settings(max_examples=120, deadline=None)
def test_nothing_that_anybody_writes_stops_it(text, data, tables, entities, language):
    for path, reading in read(text, data, tables, entities, language).items():
        assert path in {field.path for field in FIELDS}
        assert reading.value is not None
        assert 0 < reading.confidence <= 1


def test_fields_without_labels_are_found_by_their_names():
    extractor = Extractor((Field("patient.blood_group"), NUMBER, SELLER))
    assert values("Blood group: A+", extractor=extractor) == {"patient.blood_group": "A+"}
    assert values("patient blood-group: A+", extractor=extractor) == {"patient.blood_group": "A+"}
