"""The language of a text; the source's, when it cannot be told."""

import pytest

from records.enrich.language import language_of

TEXTS = {
    "en": "Please find attached the invoice for the delivery of last week, and let us know when it will be paid.",
    "fr": "Veuillez trouver ci-joint la facture de la livraison de la semaine dernière, merci de nous répondre.",
    "de": "Anbei finden Sie die Rechnung für die Lieferung der letzten Woche, wir bitten um baldige Zahlung.",
    "es": "Adjunto encontrará la factura de la entrega de la semana pasada, le rogamos que nos responda pronto.",
    "it": "In allegato trovate la fattura della consegna della settimana scorsa, vi preghiamo di risponderci.",
    "nl": "In de bijlage vindt u de factuur van de levering van vorige week, wij horen graag van u.",
}


@pytest.mark.parametrize("language", TEXTS)
def test_a_sentence_says_its_language_whatever_that_of_the_source(language):
    for source in ("en", "fr"):
        told = language_of(TEXTS[language], source)
        assert (told.language, told.sure) == (language, True)
        assert 0.6 <= told.confidence <= 1


@pytest.mark.parametrize(
    "text", ["", "ok", "Invoice 42", "12.50 EUR 2026-03-04", "https://example.org/veuillez-trouver", "👍👍👍"]
)
def test_what_is_too_short_is_in_the_language_of_the_source(text):
    told = language_of(text, "fr")
    assert (told.language, told.sure) == ("fr", False)


def test_numbers_and_addresses_do_not_count():
    numbers = " ".join(str(number) for number in range(200))
    assert language_of(f"{TEXTS['de']} {numbers} https://example.org/please/find/the/attached", "en").language == "de"
