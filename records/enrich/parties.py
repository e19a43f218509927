"""Who is named: companies by their legal form, and whoever stands after a word such as `Client:`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from records.enrich.hits import Hit

_FORMS: Final = (
    r"GmbH(?:[ ]&[ ]Co\.?[ ]KG)?|AG|KG|OHG|UG|e\.K\.|SARL|S\.A\.R\.L\.?|SASU?|S\.A\.S\.?|EURL|S\.A\.?|SA|SL|S\.L\.?|SLU"
    r"|Ltd\.?|Limited|PLC|plc|LLP|LLC|Inc\.?|Corp\.?|Corporation|Co\.|BV|B\.V\.|NV|N\.V\.|S\.p\.A\.|SpA|S\.r\.l\.|Srl|SRL"
    r"|ApS|A/S|AS|AB|Oy|Lda\.?|Sp\.[ ]z[ ]o\.o\."
)
_WORD: Final = r"[A-ZÀ-ÖØ-Þ0-9][\w&'’.-]{0,30}"
_COMPANY: Final = re.compile(
    rf"(?<![\w&])(?:{_WORD}(?:[ ](?:&|und|et|and|y|de|du|of)[ ]|[ ])){{1,5}}(?:{_FORMS})(?![\w&])"
)
_LABELS: Final = (
    "from|to|client|customer|supplier|vendor|bill to|ship to|sold to|shipper|consignee|carrier|patient|sender|recipient"
    "|de|à|fournisseur|destinataire|expéditeur|transporteur|kunde|lieferant|absender|empfänger|an|von|spediteur"
    "|cliente|proveedor|remitente|destinatario|para|transportista|paciente|patient name|customer name|client name"
)
_LABELLED: Final = re.compile(rf"(?im)^[ \t]*(?:{_LABELS})[ ]?:[ \t]*(?P<name>[^\n\t;|]{{2,120}})")
_LETTER: Final = re.compile(r"[^\W\d_]{2}")


def parties(text: str) -> Iterator[Hit]:
    for found in _COMPANY.finditer(text):
        yield Hit(*found.span(), "party", " ".join(found[0].split()))
    for found in _LABELLED.finditer(text):
        name = re.split(r"[<(]|,[ ]|[ ]{2}", found["name"])[0].strip(" \"'.,")
        if _LETTER.search(name) and "@" not in name:
            begin = found.start("name") + found["name"].index(name)
            yield Hit(begin, begin + len(name), "party", " ".join(name.split()))
