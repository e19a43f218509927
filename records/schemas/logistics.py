"""Orders to carry something."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Final, Literal

from pydantic import BaseModel
from pydantic import Field as Bounds

from domain.schema import Condition, Rule
from records.schemas.building import Asked, Identifier, Phone, Words, schema_of

_DANGEROUS: Final = (Condition("dangerous", (True,)),)

Incoterm = Literal["EXW", "FCA", "CPT", "CIP", "DAP", "DPU", "DDP", "FAS", "FOB", "CFR", "CIF"]
"""Incoterms 2020."""

HazardClass = Literal["1", "2.1", "2.2", "2.3", "3", "4.1", "4.2", "4.3", "5.1", "5.2", "6.1", "6.2", "7", "8", "9"]
"""Classes and divisions of the UN model regulations on the transport of dangerous goods."""


class Shipment(BaseModel):
    """Transport order"""

    shipment_number: Annotated[Identifier, Asked(weight=2)]
    shipper: str
    consignee: Annotated[str, Asked(weight=2)]
    incoterm: Incoterm
    place: Annotated[str, Asked(follows=("incoterm",))]
    pieces: Annotated[int, Asked(weight=2), Bounds(ge=1, le=100_000)]
    net_kg: Annotated[float | None, Bounds(ge=0, le=1_000_000)] = None
    gross_kg: Annotated[float, Asked(weight=2), Bounds(ge=0.001, le=1_000_000)]
    pickup_on: Annotated[date, Asked(oldest=-366, newest=366)]
    delivery_on: Annotated[date, Asked(oldest=-366, newest=732)]
    dangerous: Annotated[bool, Asked(weight=2)]
    un_number: Annotated[Identifier | None, Asked(weight=2, when=_DANGEROUS), Bounds(pattern=r"UN ?\d{4}")] = None
    hazard_class: Annotated[HazardClass | None, Asked(weight=2, when=_DANGEROUS)] = None
    emergency_phone: Annotated[Phone | None, Asked(when=_DANGEROUS)] = None


_WORDS: Final[dict[str, Words]] = {
    "shipment_number": {
        "en": ("What is the number of the shipment?", "shipment number", "shipment no", "shipment", "tracking number"),
        "fr": ("Quel est le numéro de l'envoi ?", "numéro d'envoi", "n° d'envoi", "numéro d'expédition", "envoi"),
        "de": ("Welche Nummer hat die Sendung?", "Sendungsnummer", "Sendungs-Nr", "Sendung", "Auftragsnummer"),
        "es": ("¿Cuál es el número del envío?", "número de envío", "n.º de envío", "envío", "expedición"),
    },
    "shipper": {
        "en": ("Who sends the goods?", "shipper", "sender", "consignor", "ship from"),
        "fr": ("Qui expédie la marchandise ?", "expéditeur", "chargeur"),
        "de": ("Wer versendet die Ware?", "Absender", "Versender"),
        "es": ("¿Quién envía la mercancía?", "remitente", "expedidor", "cargador"),
    },
    "consignee": {
        "en": ("Who receives the goods?", "consignee", "receiver", "recipient", "ship to", "deliver to"),
        "fr": ("Qui reçoit la marchandise ?", "destinataire", "livrer à"),
        "de": ("Wer empfängt die Ware?", "Empfänger", "liefern an"),
        "es": ("¿Quién recibe la mercancía?", "destinatario", "consignatario", "entregar a"),
    },
    "incoterm": {
        "en": ("Which Incoterm was agreed on (EXW, FCA, DAP, ...)?", "incoterm", "incoterms", "terms of delivery"),
        "fr": ("Quel Incoterm a été convenu (EXW, FCA, DAP, ...) ?", "incoterm", "conditions de livraison"),
        "de": ("Welcher Incoterm ist vereinbart (EXW, FCA, DAP, ...)?", "Incoterm", "Lieferbedingung"),
        "es": ("¿Qué Incoterm se acordó (EXW, FCA, DAP, ...)?", "incoterm", "condiciones de entrega"),
    },
    "place": {
        "en": ("For which place does the Incoterm hold?", "named place", "place of delivery", "place"),
        "fr": ("Pour quel lieu vaut l'Incoterm ?", "lieu convenu", "lieu de livraison", "lieu"),
        "de": ("Für welchen Ort gilt der Incoterm?", "benannter Ort", "Lieferort", "Ort"),
        "es": ("¿Para qué lugar vale el Incoterm?", "lugar convenido", "lugar de entrega", "lugar"),
    },
    "pieces": {
        "en": ("How many pieces are there?", "pieces", "packages", "number of pieces", "colli", "pallets"),
        "fr": ("Combien y a-t-il de colis ?", "colis", "nombre de colis", "palettes"),
        "de": ("Wie viele Packstücke sind es?", "Packstücke", "Anzahl", "Kolli", "Paletten"),
        "es": ("¿Cuántos bultos son?", "bultos", "número de bultos", "palés"),
    },
    "net_kg": {
        "en": ("What is the net weight in kg?", "net weight", "net kg"),
        "fr": ("Quel est le poids net en kg ?", "poids net"),
        "de": ("Wie hoch ist das Nettogewicht in kg?", "Nettogewicht"),
        "es": ("¿Cuál es el peso neto en kg?", "peso neto"),
    },
    "gross_kg": {
        "en": ("What is the gross weight in kg?", "gross weight", "gross kg", "weight"),
        "fr": ("Quel est le poids brut en kg ?", "poids brut", "poids"),
        "de": ("Wie hoch ist das Bruttogewicht in kg?", "Bruttogewicht", "Gewicht"),
        "es": ("¿Cuál es el peso bruto en kg?", "peso bruto", "peso"),
    },
    "pickup_on": {
        "en": ("On which date are the goods picked up?", "pickup date", "pickup", "pick-up", "collection date"),
        "fr": ("À quelle date la marchandise est-elle enlevée ?", "date d'enlèvement", "enlèvement"),
        "de": ("Wann wird die Ware abgeholt?", "Abholdatum", "Abholung", "Abholtermin"),
        "es": ("¿En qué fecha se recoge la mercancía?", "fecha de recogida", "recogida"),
    },
    "delivery_on": {
        "en": ("On which date are the goods delivered?", "delivery date", "delivery", "deliver by", "ETA"),
        "fr": ("À quelle date la marchandise est-elle livrée ?", "date de livraison", "livraison"),
        "de": ("Wann wird die Ware geliefert?", "Lieferdatum", "Lieferung", "Liefertermin", "Zustellung"),
        "es": ("¿En qué fecha se entrega la mercancía?", "fecha de entrega", "entrega"),
    },
    "dangerous": {
        "en": ("Are there dangerous goods among them?", "dangerous goods", "hazardous", "hazmat", "ADR"),
        "fr": ("Y a-t-il des marchandises dangereuses ?", "marchandises dangereuses", "matières dangereuses"),
        "de": ("Ist Gefahrgut dabei?", "Gefahrgut", "gefährliche Güter"),
        "es": ("¿Hay mercancías peligrosas?", "mercancías peligrosas", "mercancía peligrosa"),
    },
    "un_number": {
        "en": ("What is the UN number of the dangerous goods?", "UN number", "UN no"),
        "fr": ("Quel est le numéro ONU des marchandises dangereuses ?", "numéro ONU", "n° ONU"),
        "de": ("Welche UN-Nummer hat das Gefahrgut?", "UN-Nummer", "UN-Nr"),
        "es": ("¿Cuál es el número ONU de la mercancía peligrosa?", "número ONU", "n.º ONU"),
    },
    "hazard_class": {
        "en": (
            "Of which class are the dangerous goods (1 to 9, such as 3 or 6.1)?",
            "hazard class",
            "class",
            "DG class",
        ),
        "fr": ("De quelle classe de danger s'agit-il (1 à 9, comme 3 ou 6.1) ?", "classe de danger", "classe"),
        "de": ("Welche Gefahrgutklasse ist es (1 bis 9, wie 3 oder 6.1)?", "Gefahrgutklasse", "Klasse"),
        "es": ("¿De qué clase de peligro son (1 a 9, como 3 o 6.1)?", "clase de peligro", "clase"),
    },
    "emergency_phone": {
        "en": ("Which phone number is called in an emergency?", "emergency phone", "emergency contact"),
        "fr": ("Quel numéro appeler en cas d'urgence ?", "téléphone d'urgence", "contact d'urgence"),
        "de": ("Welche Nummer wird im Notfall angerufen?", "Notfallnummer", "Notfallkontakt", "Notruf"),
        "es": ("¿A qué teléfono se llama en caso de emergencia?", "teléfono de emergencia", "contacto de emergencia"),
    },
}

SCHEMA: Final = schema_of(
    "logistics",
    Shipment,
    _WORDS,
    (
        Rule("order", ("net_kg", "gross_kg")),
        Rule("order", ("pickup_on", "delivery_on")),
        Rule("different", ("shipper", "consignee")),
    ),
)
