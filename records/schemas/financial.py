"""Invoices."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Final, Literal

from pydantic import BaseModel
from pydantic import Field as Bounds

from domain.schema import Condition, Rule
from records.schemas.building import Amount, Asked, Identifier, Words, schema_of

_BY_TRANSFER: Final = (Condition("payment_method", ("transfer",)),)


_PAYMENTS: Final = (
    ("transfer", ("bank transfer", "virement", "Überweisung", "transferencia")),
    ("direct_debit", ("direct debit", "prélèvement", "Lastschrift", "domiciliación", "adeudo directo")),
    ("card", ("credit card", "debit card", "carte", "carte bancaire", "Karte", "Kreditkarte", "tarjeta")),
    ("cash", ("espèces", "bar", "Barzahlung", "efectivo")),
)


class Seller(BaseModel):
    name: str
    vat_id: Annotated[Identifier | None, Bounds(pattern=r"[A-Z]{2,3}[0-9A-Z]{0,1}[0-9]{7,10}[0-9A-Z]{0,3}")] = None


class Buyer(BaseModel):
    name: str


class Invoice(BaseModel):
    """Invoice"""

    invoice_number: Annotated[Identifier, Asked(weight=2)]
    issued_on: Annotated[date, Asked(oldest=-3_660, newest=31)]
    seller: Seller
    buyer: Buyer
    net: Amount
    tax: Amount
    total: Annotated[Amount, Asked(weight=3)]
    currency: Annotated[Identifier, Asked(weight=2), Bounds(pattern="[A-Z]{3}")]
    payment_method: Annotated[Literal["transfer", "direct_debit", "card", "cash"], Asked(called=_PAYMENTS)]
    iban: Annotated[
        Identifier | None, Asked(weight=2, when=_BY_TRANSFER), Bounds(pattern=r"[A-Z]{2}\d{2}[A-Z0-9]{11,30}")
    ] = None
    due_on: Annotated[date | None, Asked(when=_BY_TRANSFER, follows=("issued_on",), newest=3_660)] = None


_WORDS: Final[dict[str, Words]] = {
    "invoice_number": {
        "en": ("What is the number of the invoice?", "invoice number", "invoice no", "invoice #", "invoice"),
        "fr": ("Quel est le numéro de la facture ?", "numéro de facture", "facture n°", "n° de facture", "facture"),
        "de": ("Welche Nummer hat die Rechnung?", "Rechnungsnummer", "Rechnungs-Nr", "Rechnung Nr", "Rechnung"),
        "es": ("¿Cuál es el número de la factura?", "número de factura", "factura n.º", "n.º de factura", "factura"),
    },
    "issued_on": {
        "en": ("On which date was the invoice issued?", "invoice date", "date of issue", "issued on", "date"),
        "fr": ("À quelle date la facture a-t-elle été émise ?", "date de facture", "date d'émission", "date"),
        "de": ("Wann wurde die Rechnung ausgestellt?", "Rechnungsdatum", "ausgestellt am", "Datum"),
        "es": ("¿En qué fecha se emitió la factura?", "fecha de factura", "fecha de emisión", "fecha"),
    },
    "seller.name": {
        "en": ("Who issued the invoice?", "seller", "supplier", "vendor", "from"),
        "fr": ("Qui a émis la facture ?", "vendeur", "fournisseur", "émetteur"),
        "de": ("Wer hat die Rechnung ausgestellt?", "Verkäufer", "Lieferant", "Rechnungssteller"),
        "es": ("¿Quién emitió la factura?", "vendedor", "proveedor", "emisor"),
    },
    "seller.vat_id": {
        "en": ("What is the VAT number of the seller?", "VAT number", "VAT ID", "VAT no"),
        "fr": ("Quel est le numéro de TVA du vendeur ?", "numéro de TVA", "n° TVA", "TVA intracommunautaire"),
        "de": ("Welche Umsatzsteuer-Identifikationsnummer hat der Verkäufer?", "USt-IdNr", "Umsatzsteuer-ID", "USt-ID"),
        "es": ("¿Cuál es el NIF-IVA del vendedor?", "NIF-IVA", "número de IVA", "NIF"),
    },
    "buyer.name": {
        "en": ("Who is the invoice addressed to?", "buyer", "customer", "bill to", "invoiced to"),
        "fr": ("À qui la facture est-elle adressée ?", "acheteur", "client", "facturé à"),
        "de": ("An wen ist die Rechnung gerichtet?", "Käufer", "Kunde", "Rechnungsempfänger"),
        "es": ("¿A quién va dirigida la factura?", "comprador", "cliente", "facturado a"),
    },
    "net": {
        "en": ("What is the amount before tax?", "net amount", "net", "subtotal", "amount before tax"),
        "fr": ("Quel est le montant hors taxes ?", "montant HT", "total HT", "montant hors taxes", "sous-total"),
        "de": ("Wie hoch ist der Nettobetrag?", "Nettobetrag", "Netto", "Zwischensumme"),
        "es": ("¿Cuál es el importe sin impuestos?", "base imponible", "importe neto", "neto", "subtotal"),
    },
    "tax": {
        "en": ("How much tax is due?", "tax", "VAT", "sales tax", "tax amount"),
        "fr": ("Quel est le montant de la taxe ?", "TVA", "montant TVA", "taxe"),
        "de": ("Wie hoch ist die Steuer?", "Mehrwertsteuer", "MwSt", "USt", "Umsatzsteuer", "Steuer"),
        "es": ("¿A cuánto asciende el impuesto?", "IVA", "importe del IVA", "impuesto"),
    },
    "total": {
        "en": ("What is the total, with tax?", "total", "grand total", "total amount", "amount due"),
        "fr": ("Quel est le total, taxes comprises ?", "total TTC", "montant TTC", "total", "net à payer"),
        "de": ("Wie hoch ist der Gesamtbetrag mit Steuer?", "Gesamtbetrag", "Bruttobetrag", "Rechnungsbetrag", "Summe"),
        "es": ("¿Cuál es el total con impuestos?", "total", "importe total", "total a pagar"),
    },
    "currency": {
        "en": ("In which currency are the amounts (EUR, USD, ...)?", "currency"),
        "fr": ("Dans quelle devise sont les montants (EUR, USD, ...) ?", "devise", "monnaie"),
        "de": ("In welcher Währung sind die Beträge (EUR, USD, ...)?", "Währung"),
        "es": ("¿En qué moneda están los importes (EUR, USD, ...)?", "moneda", "divisa"),
    },
    "payment_method": {
        "en": ("How is it paid: transfer, direct_debit, card or cash?", "payment method", "payment", "paid by"),
        "fr": (
            "Comment est-ce payé : transfer (virement), direct_debit (prélèvement), card (carte) ou cash (espèces) ?",
            "mode de paiement",
            "moyen de paiement",
            "paiement",
        ),
        "de": (
            "Wie wird bezahlt: transfer (Überweisung), direct_debit (Lastschrift), card (Karte) oder cash (bar)?",
            "Zahlungsart",
            "Zahlungsweise",
            "Zahlung",
        ),
        "es": (
            "¿Cómo se paga: transfer (transferencia), direct_debit (domiciliación), card (tarjeta) o cash (efectivo)?",
            "forma de pago",
            "método de pago",
            "pago",
        ),
    },
    "iban": {
        "en": ("To which IBAN is it to be transferred?", "IBAN", "account"),
        "fr": ("Vers quel IBAN faut-il faire le virement ?", "IBAN", "compte"),
        "de": ("Auf welche IBAN wird überwiesen?", "IBAN", "Konto"),
        "es": ("¿A qué IBAN se transfiere?", "IBAN", "cuenta"),
    },
    "due_on": {
        "en": ("By which date is it to be paid?", "due date", "payment due", "pay by", "due"),
        "fr": ("Pour quelle date faut-il payer ?", "date d'échéance", "échéance", "à payer avant le"),
        "de": ("Bis wann ist zu zahlen?", "Fälligkeitsdatum", "fällig am", "zahlbar bis"),
        "es": ("¿Hasta qué fecha hay que pagar?", "fecha de vencimiento", "vencimiento", "pagar antes del"),
    },
}

SCHEMA: Final = schema_of(
    "financial",
    Invoice,
    _WORDS,
    (Rule("sum", ("net", "tax", "total"), tolerance=0.02), Rule("order", ("issued_on", "due_on"))),
)
