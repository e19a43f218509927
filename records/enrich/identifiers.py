"""Numbers that name something: IBAN (ISO 13616, with its check digits), VAT numbers, and what follows such a word."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from records.enrich.hits import Hit

_IBAN: Final = re.compile(r"(?<!\w)[A-Z]{2}\d{2}(?:[ ]?[A-Z0-9]{4}){2,7}(?:[ ]?[A-Z0-9]{1,3})?(?!\w)")
_VAT: Final = re.compile(
    r"(?<!\w)(?:ATU\d{8}|BE[ ]?[01]\d{9}|DE[ ]?\d{9}|ES[ ]?[A-Z]\d{7}[A-Z0-9]|FR[ ]?[A-Z0-9]{2}[ ]?\d{9}|GB[ ]?\d{9}"
    r"|IT[ ]?\d{11}|LU[ ]?\d{8}|NL[ ]?\d{9}B\d\d|PL[ ]?\d{10}|PT[ ]?\d{9}|CHE-?\d{3}\.?\d{3}\.?\d{3})(?!\w)"
)
_WORDS: Final = (
    "invoice|bill|order|purchase order|po|reference|ref|case|ticket|contract|customer|client|account|shipment|tracking"
    "|consignment|container|booking|delivery note|patient|record|policy|claim|facture|commande|référence|dossier"
    "|contrat|bon de livraison|suivi|rechnung|bestellung|auftrag|referenz|vertrag|kunden|lieferschein|sendung|patienten"
    "|envoi|factura|pedido|referencia|contrato|cliente|envío|albarán|expediente|paciente|mrn|awb"
)
_LABELLED: Final = re.compile(
    rf"(?i)(?<!\w)(?:{_WORDS})"
    r"(?:[ ]?(?:number|numéro|número|nummer|num|nr|no|n°|nº|id|code)\b\.?|s?-?nummer|-nr\.?|[ ]?n°|[ ]?#)?"
    r"[ ]?[:#.]?[ ]{0,3}#?(?P<value>(?=[A-Z0-9/_.-]*\d)[A-Z0-9][A-Z0-9/_.-]{1,39})(?!\w)"
)
_BARE: Final = re.compile(r"(?<![\w/.-])(?:[A-Z]{2,6}[-/]\d[\dA-Z/-]{2,30}|[A-Z]{2,5}\d{5,20})(?![\w@])")


def identifiers(text: str) -> Iterator[Hit]:
    for found in _IBAN.finditer(text):
        yield from _iban(found)
    for found in _VAT.finditer(text):
        yield Hit(*found.span(), "identifier", re.sub(r"[ .-]", "", found[0]))
    for found in _LABELLED.finditer(text):
        value = found["value"].rstrip(".-/_")
        begin = found.start("value")
        if len(value) >= 3:
            yield Hit(begin, begin + len(value), "identifier", value)
    for found in _BARE.finditer(text):
        value = found[0].rstrip("-/")
        yield Hit(found.start(), found.start() + len(value), "identifier", value)


def _iban(found: re.Match[str]) -> Iterator[Hit]:
    """The longest beginning with right check digits: a word may follow after a space."""
    words = found[0].split(" ")
    for count in range(len(words), 0, -1):
        written = " ".join(words[:count])
        if is_iban(written.replace(" ", "")):
            yield Hit(found.start(), found.start() + len(written), "identifier", written.replace(" ", ""))
            return


def is_iban(number: str) -> bool:
    """ISO 7064, MOD 97-10."""
    if not 15 <= len(number) <= 34:
        return False
    return int("".join(str(int(each, 36)) for each in number[4:] + number[:4])) % 97 == 1
