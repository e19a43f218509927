"""Reports of treatments."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Final, Literal

from pydantic import BaseModel
from pydantic import Field as Bounds

from domain.schema import Condition, Rule
from records.schemas.building import Asked, Identifier, Words, schema_of

_OF_WOMEN: Final = (Condition("patient.sex", ("female",)),)
_PREGNANT: Final = (*_OF_WOMEN, Condition("pregnant", (True,)))
_BY_MEDICATION: Final = (Condition("treatment", ("medication",)),)


_SEXES: Final = (
    ("female", ("f", "woman", "féminin", "femme", "weiblich", "w", "Frau", "femenino", "mujer")),
    ("male", ("m", "man", "masculin", "homme", "männlich", "Mann", "masculino", "hombre", "varón")),
    ("diverse", ("non-binary", "autre", "divers", "no binario")),
)
_TREATMENTS: Final = (
    ("medication", ("drug", "médicament", "médicaments", "Medikament", "Medikamente", "medicación", "medicamento")),
    ("procedure", ("surgery", "operation", "intervention", "opération", "Eingriff", "Operation", "procedimiento")),
    ("none", ("no treatment", "aucun", "aucune", "keine", "ninguno", "ninguna")),
)


class Patient(BaseModel):
    name: Annotated[str, Asked(weight=2)]
    born_on: Annotated[date, Asked(weight=2, oldest=-45_000, newest=0)]
    sex: Annotated[Literal["female", "male", "diverse"], Asked(called=_SEXES)]


class Report(BaseModel):
    """Report of a treatment"""

    patient: Patient
    insurer: str
    insurance_number: Annotated[Identifier, Asked(follows=("insurer",))]
    seen_on: Annotated[date, Asked(oldest=-3_660, newest=1)]
    physician: str
    diagnosis: Annotated[Identifier, Asked(weight=3), Bounds(pattern=r"[A-Z]\d[0-9A-Z]\.?[0-9A-Z]{0,4}")]
    treatment: Annotated[Literal["medication", "procedure", "none"], Asked(called=_TREATMENTS)]
    medication: Annotated[str | None, Asked(weight=2, when=_BY_MEDICATION)] = None
    dose: Annotated[str | None, Asked(weight=2, when=_BY_MEDICATION, follows=("medication",))] = None
    pregnant: Annotated[bool | None, Asked(when=_OF_WOMEN)] = None
    pregnancy_week: Annotated[int | None, Asked(when=_PREGNANT), Bounds(ge=1, le=43)] = None


_WORDS: Final[dict[str, Words]] = {
    "patient.name": {
        "en": ("What is the name of the patient?", "patient", "patient name", "name of patient"),
        "fr": ("Comment s'appelle le patient ?", "patient", "nom du patient", "patiente"),
        "de": ("Wie heißt die Patientin oder der Patient?", "Patient", "Patientin", "Name des Patienten"),
        "es": ("¿Cómo se llama el paciente?", "paciente", "nombre del paciente"),
    },
    "patient.born_on": {
        "en": ("When was the patient born?", "date of birth", "born on", "born", "DOB"),
        "fr": ("Quelle est la date de naissance du patient ?", "date de naissance", "né le", "née le"),
        "de": ("Wann ist die Patientin oder der Patient geboren?", "Geburtsdatum", "geboren am", "geb."),
        "es": ("¿Cuál es la fecha de nacimiento del paciente?", "fecha de nacimiento", "nacido el", "nacida el"),
    },
    "patient.sex": {
        "en": ("What is the sex of the patient: female, male or diverse?", "sex", "gender"),
        "fr": ("Quel est le sexe du patient : female (féminin), male (masculin) ou diverse ?", "sexe"),
        "de": ("Welches Geschlecht: female (weiblich), male (männlich) oder diverse (divers)?", "Geschlecht"),
        "es": ("¿Cuál es el sexo del paciente: female (mujer), male (hombre) o diverse?", "sexo"),
    },
    "insurer": {
        "en": ("Who insures the patient?", "insurer", "health insurance", "insurance company"),
        "fr": ("Quelle est l'assurance du patient ?", "assureur", "assurance maladie", "mutuelle"),
        "de": ("Wo ist die Patientin oder der Patient versichert?", "Krankenkasse", "Versicherung", "Kostenträger"),
        "es": ("¿Cuál es la aseguradora del paciente?", "aseguradora", "seguro médico", "mutua"),
    },
    "insurance_number": {
        "en": ("What is the insurance number of the patient?", "insurance number", "policy number", "member ID"),
        "fr": ("Quel est le numéro d'assuré du patient ?", "numéro d'assuré", "n° de sécurité sociale"),
        "de": ("Welche Versichertennummer?", "Versichertennummer", "Versicherten-Nr", "Versicherungsnummer"),
        "es": ("¿Cuál es el número de asegurado?", "número de asegurado", "número de póliza", "n.º de afiliación"),
    },
    "seen_on": {
        "en": ("On which date was the patient seen?", "seen on", "date of visit", "examined on", "visit date"),
        "fr": ("À quelle date le patient a-t-il été vu ?", "vu le", "date de consultation", "consultation du"),
        "de": ("Wann fand die Untersuchung statt?", "untersucht am", "Untersuchungsdatum", "Behandlungsdatum"),
        "es": ("¿En qué fecha se atendió al paciente?", "visto el", "fecha de consulta", "fecha de visita"),
    },
    "physician": {
        "en": ("Who treated the patient?", "physician", "doctor", "treated by", "attending"),
        "fr": ("Quel médecin a traité le patient ?", "médecin", "docteur", "médecin traitant"),
        "de": ("Wer hat behandelt?", "Arzt", "Ärztin", "behandelnder Arzt", "behandelt durch"),
        "es": ("¿Qué médico trató al paciente?", "médico", "doctor", "doctora"),
    },
    "diagnosis": {
        "en": ("What is the diagnosis, as an ICD-10 code?", "diagnosis", "ICD-10", "ICD", "diagnosis code"),
        "fr": ("Quel est le diagnostic, en code CIM-10 ?", "diagnostic", "CIM-10", "code diagnostic"),
        "de": ("Wie lautet die Diagnose als ICD-10-Code?", "Diagnose", "ICD-10", "ICD", "Diagnoseschlüssel"),
        "es": ("¿Cuál es el diagnóstico, en código CIE-10?", "diagnóstico", "CIE-10", "código de diagnóstico"),
    },
    "treatment": {
        "en": ("What is the treatment: medication, procedure or none?", "treatment", "therapy"),
        "fr": ("Quel est le traitement : medication (médicament), procedure (acte) ou none (aucun) ?", "traitement"),
        "de": ("Wie wird behandelt: medication (Medikament), procedure (Eingriff) oder none (keine)?", "Behandlung"),
        "es": ("¿Cuál es el tratamiento: medication (medicación), procedure (intervención) o none?", "tratamiento"),
    },
    "medication": {
        "en": ("Which medication was prescribed?", "medication", "drug", "prescription", "prescribed"),
        "fr": ("Quel médicament a été prescrit ?", "médicament", "ordonnance", "prescrit"),
        "de": ("Welches Medikament wurde verordnet?", "Medikament", "Arzneimittel", "Verordnung", "verordnet"),
        "es": ("¿Qué medicamento se recetó?", "medicamento", "medicación", "receta", "recetado"),
    },
    "dose": {
        "en": ("In which dose is it taken?", "dose", "dosage"),
        "fr": ("À quelle dose est-il pris ?", "dose", "posologie"),
        "de": ("In welcher Dosis wird es genommen?", "Dosis", "Dosierung"),
        "es": ("¿En qué dosis se toma?", "dosis", "posología"),
    },
    "pregnant": {
        "en": ("Is the patient pregnant?", "pregnant", "pregnancy"),
        "fr": ("La patiente est-elle enceinte ?", "enceinte", "grossesse"),
        "de": ("Ist die Patientin schwanger?", "schwanger", "Schwangerschaft"),
        "es": ("¿Está embarazada la paciente?", "embarazada", "embarazo"),
    },
    "pregnancy_week": {
        "en": ("In which week is the pregnancy?", "week of pregnancy", "pregnancy week", "gestational week"),
        "fr": ("À quelle semaine est la grossesse ?", "semaine de grossesse", "semaine d'aménorrhée"),
        "de": ("In welcher Woche ist die Schwangerschaft?", "Schwangerschaftswoche", "SSW"),
        "es": ("¿En qué semana está el embarazo?", "semana de embarazo", "semana de gestación"),
    },
}

SCHEMA: Final = schema_of("medical", Report, _WORDS, (Rule("order", ("patient.born_on", "seen_on")),))
