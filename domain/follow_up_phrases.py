"""The words of questions and reminders, by language. Of two texts the first is for one gap, the second for several."""

from __future__ import annotations

from typing import Final, NamedTuple

from domain.schema import Language


class Phrases(NamedTuple):
    greeting: str
    greeting_by_name: str
    message: str
    message_on: str
    intro: tuple[str, str]
    reminder: tuple[str, str]
    reference: str
    generic: str
    as_date: str
    as_number: str
    one_of: str
    yes_or_no: str
    unknown_is_fine: str
    thanks: str


ENGLISH: Final = Phrases(
    greeting="Hello,",
    greeting_by_name="Hello {name},",
    message="your message",
    message_on="your message “{subject}”",
    intro=(
        "Thank you for {message} of {date}. One thing is missing for us to go on:",
        "Thank you for {message} of {date}. Some things are missing for us to go on:",
    ),
    reminder=(
        "A short reminder about {message} of {date}. One thing is still missing:",
        "A short reminder about {message} of {date}. Some things are still missing:",
    ),
    reference="(reference: {reference})",
    generic="What is the {label}?",
    as_date="as year-month-day, such as 2026-01-31",
    as_number="a number",
    one_of="one of: {choices}",
    yes_or_no="yes or no",
    unknown_is_fine="If you do not know, or would rather not say, just tell us so: “I don't know” is an answer, too.",
    thanks="Please reply to this message. Thank you!",
)

FRENCH: Final = Phrases(
    greeting="Bonjour,",
    greeting_by_name="Bonjour {name},",
    message="votre message",
    message_on="votre message « {subject} »",
    intro=(
        "Merci pour {message} du {date}. Il nous manque une information pour continuer :",
        "Merci pour {message} du {date}. Il nous manque quelques informations pour continuer :",
    ),
    reminder=(
        "Un petit rappel au sujet de {message} du {date}. Il nous manque encore une information :",
        "Un petit rappel au sujet de {message} du {date}. Il nous manque encore quelques informations :",
    ),
    reference="(référence : {reference})",
    generic="Pouvez-vous nous indiquer : {label} ?",
    as_date="année-mois-jour, par exemple 2026-01-31",
    as_number="un nombre",
    one_of="au choix : {choices}",
    yes_or_no="oui ou non",
    unknown_is_fine=(
        "Si vous ne le savez pas, ou préférez ne pas répondre, dites-le-nous simplement : "
        "« je ne sais pas » est aussi une réponse."
    ),
    thanks="Merci de répondre à ce message.",
)

GERMAN: Final = Phrases(
    greeting="Guten Tag,",
    greeting_by_name="Guten Tag {name},",
    message="Ihre Nachricht",
    message_on="Ihre Nachricht „{subject}“",
    intro=(
        "vielen Dank für {message} vom {date}. Eine Angabe fehlt uns noch:",
        "vielen Dank für {message} vom {date}. Einige Angaben fehlen uns noch:",
    ),
    reminder=(
        "eine kurze Erinnerung an {message} vom {date}. Eine Angabe fehlt uns weiterhin:",
        "eine kurze Erinnerung an {message} vom {date}. Einige Angaben fehlen uns weiterhin:",
    ),
    reference="(Zeichen: {reference})",
    generic="Was können Sie uns hierzu sagen: {label}?",
    as_date="Jahr-Monat-Tag, etwa 2026-01-31",
    as_number="eine Zahl",
    one_of="eines von: {choices}",
    yes_or_no="ja oder nein",
    unknown_is_fine=(
        "Wenn Sie es nicht wissen oder nicht sagen möchten, schreiben Sie das einfach: "
        "„Ich weiß es nicht“ ist auch eine Antwort."
    ),
    thanks="Bitte antworten Sie auf diese Nachricht. Vielen Dank!",
)

SPANISH: Final = Phrases(
    greeting="Hola:",
    greeting_by_name="Hola, {name}:",
    message="su mensaje",
    message_on="su mensaje «{subject}»",
    intro=(
        "Gracias por {message} del {date}. Nos falta un dato para continuar:",
        "Gracias por {message} del {date}. Nos faltan algunos datos para continuar:",
    ),
    reminder=(
        "Un breve recordatorio sobre {message} del {date}. Todavía nos falta un dato:",
        "Un breve recordatorio sobre {message} del {date}. Todavía nos faltan algunos datos:",
    ),
    reference="(referencia: {reference})",
    generic="¿Puede indicarnos lo siguiente: {label}?",
    as_date="año-mes-día, por ejemplo 2026-01-31",
    as_number="un número",
    one_of="uno de: {choices}",
    yes_or_no="sí o no",
    unknown_is_fine="Si no lo sabe o prefiere no decirlo, díganoslo: «no lo sé» también es una respuesta.",
    thanks="Por favor, responda a este mensaje. ¡Gracias!",
)

PHRASES: Final[dict[Language, Phrases]] = {"en": ENGLISH, "fr": FRENCH, "de": GERMAN, "es": SPANISH}
"""By ISO 639-1."""
