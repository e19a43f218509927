"""Values as people write them."""

import pytest

from domain.schema import Field
from records.analyse.values import is_nothing, parsed, same
from tests.records.analyse.invoices import CURRENCY, IBAN, METHOD, PHONE


@pytest.mark.parametrize(
    ("type", "raw", "language", "value"),
    [
        ("amount", "1.234,50 €", "de", 1234.5),
        ("amount", "1,234.50", "en", 1234.5),
        ("amount", "1,234.50", "de", 1234.5),
        ("amount", "EUR 1 234,5", "fr", 1234.5),
        ("amount", "1\u202f234,50\xa0€", "fr", 1234.5),
        ("amount", "CHF 1'234.50", "de", 1234.5),
        ("amount", "1.234", "en", 1234.0),
        ("amount", "1,234", "fr", 1234.0),
        ("amount", "12,5", "en", 12.5),
        ("amount", "$ -3.20", "en", -3.2),
        ("amount", "is 1,234,567.89 USD", "en", 1234567.89),
        ("amount", "12.03.2026", "de", None),
        ("amount", "1.2.3", "de", None),
        ("amount", "none", "en", None),
        ("number", "1.234", "en", 1.234),
        ("number", "1.234", "de", 1234.0),
        ("number", "1,234", "de", 1.234),
        ("number", "0.125", "de", 0.125),
        ("number", "72 kg", "en", 72.0),
        ("number", 3, "en", 3.0),
        ("number", True, "en", None),
        ("integer", "1.234", "en", 1234.0),
        ("integer", "4 cartons", "en", 4.0),
        ("integer", "4.5", "en", None),
        ("integer", 4.5, "en", None),
        ("date", "2026-03-12", "en", "2026-03-12"),
        ("date", "12. März 2026", "de", "2026-03-12"),
        ("date", "12 de marzo de 2026", "es", "2026-03-12"),
        ("date", "1er mars 2026", "fr", "2026-03-01"),
        ("date", "Thursday, March 12th, 2026 at noon", "en", "2026-03-12"),
        ("date", "31/12/2026", "en", "2026-12-31"),
        ("date", "03/04/2026", "fr", "2026-04-03"),
        ("date", "31.2.2026", "de", None),
        ("date", "soon", "en", None),
        ("boolean", "Yes, since Monday", "en", True),
        ("boolean", "sí", "es", True),
        ("boolean", "Nein", "de", False),
        ("boolean", "non", "fr", False),
        ("boolean", "☒", "en", True),
        ("boolean", False, "en", False),
        ("boolean", 1, "en", True),
        ("boolean", "perhaps", "en", None),
        ("email", "write to ann.b+c@example.org.", "en", "ann.b+c@example.org"),
        ("email", "ann at example", "en", None),
        ("phone", "+33 1 42 68 53 00", "en", "+33142685300"),
        ("phone", "030 901820", "de", "+4930901820"),
        ("identifier", "no. INV-2026/17, thanks", "en", "INV-2026/17"),
        ("identifier", "unclear words", "en", None),
        ("identifier", 4711, "en", "4711"),
        ("text", "  two\n words ", "en", "two words"),
        ("text", 5, "en", "5"),
    ],
)
def test_a_value_by_type_and_language(type, raw, language, value):
    found = parsed(Field("f", type), raw, language)
    assert (found.value if found else None) == value


def test_a_day_that_others_read_as_another_day_is_doubtful():
    assert parsed(Field("f", "date"), "03/04/2026", "en").doubtful == "which number is the month?"
    assert parsed(Field("f", "date"), "04/04/2026", "en").doubtful == ""
    assert parsed(Field("f", "date"), "03/04/2026", "de").doubtful == ""


def test_a_choice_is_found_whatever_its_case_and_never_guessed_among_several():
    assert parsed(METHOD, "by Direct-Debit", "en").value == "direct_debit"
    assert parsed(METHOD, "CARD", "en").value == "card"
    assert parsed(METHOD, "card or transfer", "en") is None
    assert parsed(METHOD, "cash", "en") is None


def test_an_identifier_is_as_its_pattern_says():
    assert parsed(IBAN, "DE89 3704 0044 0532 0130 00, BIC COBADEFF", "en").value == "DE89370400440532013000"
    assert parsed(CURRENCY, "EUR", "en").value == "EUR"
    assert parsed(Field("f", "identifier", pattern="("), "A1", "en").value == "A1", (
        "a pattern that is none says nothing"
    )


def test_signs_for_nothing_are_no_values():
    assert all(map(is_nothing, ["-", "n/a", " ", "", None, "?", "TBD", "unbekannt"]))
    assert not any(map(is_nothing, ["none", "0", 0, False, "no"]))


def test_the_same_said_otherwise_is_no_contradiction():
    assert same("Acme  GMBH", "Acmé GmbH")
    assert same("Acme", "Acme GmbH")
    assert not same("Acme", "Acmes")
    assert not same(1.0, 2.0)
    assert not same(PHONE.path, None)
