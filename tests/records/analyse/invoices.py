"""A schema for tests, with a field of every type."""

from domain.schema import Field, Schema

NUMBER = Field(
    "invoice_number",
    "identifier",
    labels={"en": ("invoice number", "invoice no"), "de": ("Rechnungs-Nr", "Rechnungsnummer"), "fr": ("facture n°",)},
    questions={"en": "Which number has the invoice?"},
)
ISSUED = Field(
    "issued_on",
    "date",
    labels={"en": ("invoice date", "date"), "de": ("Rechnungsdatum",), "fr": ("date de facture",), "es": ("fecha",)},
)
SELLER = Field("seller.name", labels={"en": ("seller", "supplier"), "de": ("Lieferant",), "fr": ("fournisseur",)})
TOTAL = Field(
    "total",
    "amount",
    minimum=0,
    labels={"en": ("total",), "de": ("Gesamtbetrag",), "fr": ("total TTC",), "es": ("total",)},
)
ITEMS = Field("items", "integer", labels={"en": ("items",)})
WEIGHT = Field("weight", "number", labels={"en": ("weight",), "de": ("Gewicht",)})
PAID = Field("paid", "boolean", labels={"en": ("paid",), "de": ("bezahlt",), "fr": ("payée",), "es": ("pagada",)})
METHOD = Field("method", "choice", choices=("transfer", "card", "direct_debit"), labels={"en": ("payment method",)})
EMAIL = Field("contact.email", "email")
PHONE = Field("contact.phone", "phone", labels={"en": ("phone",)})
IBAN = Field("iban", "identifier", pattern=r"[A-Z]{2}\d{2}[A-Z0-9]{11,30}", labels={"en": ("IBAN",)})
CURRENCY = Field("currency", "identifier", pattern="[A-Z]{3}")
FIELDS = (NUMBER, ISSUED, SELLER, TOTAL, ITEMS, WEIGHT, PAID, METHOD, EMAIL, PHONE, IBAN, CURRENCY)
SCHEMA = Schema("financial", FIELDS)
