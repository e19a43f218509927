"""Entities of a text, in their canonical form."""

import time

import dateparser
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from records.enrich import limits
from records.enrich.dates import dates, is_ambiguous
from records.enrich.entities import found_in
from records.enrich.identifiers import is_iban


def values(kind: str, text: str, language: str = "en") -> list[str]:
    return [each.value for each in found_in(text, language, "message")[0] if each.kind == kind]


@pytest.mark.parametrize(
    ("text", "language", "value"),
    [
        ("1,234.56 EUR", "en", "1234.56 EUR"),
        ("1.234,56 €", "de", "1234.56 EUR"),
        ("1 234,56 €", "fr", "1234.56 EUR"),
        ("1\u202f234,56\xa0€", "fr", "1234.56 EUR"),
        ("€1,234", "en", "1234 EUR"),
        ("CHF 1'234.50", "de", "1234.5 CHF"),
        ("a total of $5.", "en", "5 USD"),
        ("US$ 12.00", "en", "12 USD"),
        ("-20 EUR", "en", "-20 EUR"),
        ("$1.5 million", "en", "1500000 USD"),
        ("3 Mio. EUR", "de", "3000000 EUR"),
        ("50 euros", "fr", "50 EUR"),
        ("£12.99 per item", "en", "12.99 GBP"),
    ],
)
def test_amounts(text, language, value):
    assert values("amount", text, language) == [value]


@pytest.mark.parametrize("text", ["12 kg", "in 2026", "5 %", "20 EURx", "room 12", "$ENV"])
def test_what_is_no_amount(text):
    assert values("amount", text) == []


@pytest.mark.parametrize(
    ("text", "language", "value"),
    [
        ("2026-03-04", "en", "2026-03-04"),
        ("at 2026-03-04T10:00:00Z", "en", "2026-03-04"),
        ("2026/3/4", "en", "2026-03-04"),
        ("3 March 2026", "en", "2026-03-03"),
        ("March 3rd, 2026", "en", "2026-03-03"),
        ("3rd of Mar 2026", "en", "2026-03-03"),
        ("03-MAR-2026", "en", "2026-03-03"),
        ("1er août 2026", "fr", "2026-08-01"),
        ("le 14 juillet 2026,", "fr", "2026-07-14"),
        ("3. März 2026", "de", "2026-03-03"),
        ("5. Dez. 2026", "de", "2026-12-05"),
        ("3 de marzo de 2026", "es", "2026-03-03"),
        ("15 ene 2026", "es", "2026-01-15"),
        ("03.04.2026", "de", "2026-04-03"),
        ("3.4.26", "de", "2026-04-03"),
        ("01.02.85", "de", "1985-02-01"),
        ("03/04/2026", "fr", "2026-04-03"),
        ("03/04/2026", "en", "2026-03-04"),
        ("25/12/2026", "en", "2026-12-25"),
        ("12/25/2026", "fr", "2026-12-25"),
        ("03-04-2026", "en", "2026-04-03"),
    ],
)
def test_dates(text, language, value):
    assert values("date", text, language) == [value]


@pytest.mark.parametrize(
    "text", ["31 February 2026", "99/99/2026", "192.168.1.1", "version 1.2.3.4", "10/2026", "3 chats 2026"]
)
def test_what_is_no_date(text):
    assert values("date", text) == []


@pytest.mark.parametrize(
    ("written", "language", "ambiguous"),
    [
        ("03/04/2026", "en", True),
        ("03/03/2026", "en", False),
        ("13/04/2026", "en", False),
        ("03/04/2026", "fr", False),
        ("03.04.2026", "en", False),
    ],
)
def test_in_english_between_slashes_a_day_may_be_a_month(written, language, ambiguous):
    assert is_ambiguous(written, language) is ambiguous


FORMS = {
    "en": "%d %B %Y",
    "fr": "%d %B %Y",
    "de": "%d. %B %Y",
    "es": "%d de %B de %Y",
    "it": "%d %B %Y",
    "nl": "%d %B %Y",
}
NAMES = {
    "en": "January February March April May June July August September October November December",
    "fr": "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
    "de": "Januar Februar März April Mai Juni Juli August September Oktober November Dezember",
    "es": "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
    "it": "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre",
    "nl": "januari februari maart april mei juni juli augustus september oktober november december",
}


@pytest.mark.parametrize("language", FORMS)
def test_months_are_those_that_dateparser_knows(language):
    for name in NAMES[language].split():
        text = FORMS[language].replace("%d", "17").replace("%B", name).replace("%Y", "2026")
        expected = dateparser.parse(text, languages=[language])
        assert expected is not None
        assert [hit.value for hit in dates(text, language)] == [expected.date().isoformat()]


def test_addresses():
    text = "Write to Anna.Schmidt@Nordwind.example or see https://nordwind.example/a?b=1, or www.nordwind.example."
    assert values("email", text) == ["anna.schmidt@nordwind.example"]
    assert values("url", text) == ["https://nordwind.example/a?b=1", "www.nordwind.example"]


@pytest.mark.parametrize(
    ("text", "language", "value"),
    [
        ("+49 30 901820", "fr", "+4930901820"),
        ("0049 30 901820", "en", "+4930901820"),
        ("01 42 68 53 00", "fr", "+33142685300"),
        ("Tel.: 030 901820", "de", "+4930901820"),
        ("(212) 555-0123", "en", "+12125550123"),
        ("020 7946 0958", "en", "+442079460958"),
        ("phone 915 12 34 56", "es", "+34915123456"),
    ],
)
def test_phones(text, language, value):
    assert values("phone", text, language) == [value]


@pytest.mark.parametrize("text", ["2026-03-04 12", "1,234,567 items", "order 4471234567", "12345678", "000000000"])
def test_what_is_no_phone(text):
    assert values("phone", text) == []


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("IBAN DE89 3704 0044 0532 0130 00 please", "DE89370400440532013000"),
        ("GB29NWBK60161331926819", "GB29NWBK60161331926819"),
        ("VAT DE123456789", "DE123456789"),
        ("TVA FR 12345678901", "FR12345678901"),
        ("Invoice no. 2026/0042.", "2026/0042"),
        ("Rechnung Nr. R-4711", "R-4711"),
        ("facture n° F2026-17", "F2026-17"),
        ("order #77123", "77123"),
        ("see INV-2026-0042", "INV-2026-0042"),
        ("container MSKU1234565", "MSKU1234565"),
    ],
)
def test_identifiers(text, value):
    assert values("identifier", text) == [value]


def test_an_iban_with_wrong_check_digits_is_none():
    assert is_iban("DE89370400440532013000")
    assert not is_iban("DE88370400440532013000")
    assert "DE88370400440532013000" not in values("identifier", "DE88 3704 0044 0532 0130 00")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("shipped by Nordwind Logistik GmbH & Co. KG today", "Nordwind Logistik GmbH & Co. KG"),
        ("with Müller & Sons Ltd. in", "Müller & Sons Ltd."),
        ("la société Dupont Transports SARL est", "Dupont Transports SARL"),
        ("Client: Anna Schmidt", "Anna Schmidt"),
        ("From: Anna Schmidt <anna@example.org>", "Anna Schmidt"),
        ("Fournisseur : Établissements Roux, Lyon", "Établissements Roux"),
    ],
)
def test_parties(text, value):
    assert values("party", text) == [value]


def test_nothing_is_two_things_and_each_value_is_told_once_in_the_order_of_the_text():
    text = "Pay 12 EUR until 3 March 2026; 12 EUR, yes: https://example.org/2026-03-04/12 EUR"
    assert [(each.kind, each.text) for each in found_in(text, "en", "a.pdf")[0]] == [
        ("amount", "12 EUR"),
        ("date", "3 March 2026"),
        ("url", "https://example.org/2026-03-04/12"),
    ]


def test_of_too_many_the_first_are_kept():
    found, more = found_in(" ".join(f"{number} EUR" for number in range(1, 1000)), "en", "message")
    assert len(found) == limits.ENTITIES
    assert found[0].value == "1 EUR"
    assert more


PIECES = st.sampled_from(
    ["12", " EUR", "€", ".", ",", "/", "-", " ", "a", "@", "+", "(", "de ", "mars", "GmbH", "\n", "To:", "É"]
)


@settings(max_examples=60, deadline=None)
@given(st.one_of(st.text(max_size=300), st.lists(PIECES, max_size=60).map("".join)))
def test_whatever_is_found_stands_in_the_text(text):
    found, _ = found_in(text, "en", "message")
    for each in found:
        assert each.text in text
        assert each.value


HOSTILE = [
    "1 ",
    "1.",
    "a.b@",
    "(1) ",
    "DE12 ",
    "+1-",
    "order ",
    "Aa ",
    "1/1/",
    "from: ",
    "w.w-",
    "AB12CDEF ",
    "\n",
    "1'",
]


@pytest.mark.parametrize("piece", HOSTILE)
def test_a_text_that_was_made_to_be_slow_is_searched_in_time(piece):
    """A search that backtracks takes hours."""
    begun = time.process_time()
    found_in(piece * (50_000 // len(piece)), "en", "message")
    assert time.process_time() - begun < 5
