"""What a sender is asked: one message for all gaps of a record, in the sender's language where it is one of ours."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from msgspec import Struct

from domain.follow_up_phrases import ENGLISH, PHRASES, Phrases
from domain.record import Question
from domain.schema import Field

LONGEST = 1_900
"""Characters of a message: a little less than the platforms take, of which Discord takes the least."""

_LONGEST_ASK = 400
_LONGEST_LINE = 120
"""Characters of a name or a subject: it is somebody else's, and only to be recognised."""


class About(Struct, frozen=True):
    """The message that is asked about, as its sender knows it; `reference` is what we call it."""

    reference: str
    sent_on: date
    sender: str = ""
    subject: str = ""


def question(gaps: Sequence[Field], about: About, language: str) -> Question:
    """A language that is none of ours is asked in English. Of more gaps than fit into one message, the first ones:
    what is still missing after the answer is asked for in the next round."""
    spoken, phrases = _phrases(language)
    text, fitting = _fitting(phrases.intro, gaps, about, spoken, phrases)
    return Question(spoken, text, tuple(field.path for field in fitting))


def reminder(gaps: Sequence[Field], about: About, language: str) -> str:
    """Of the question above, for what is still missing."""
    spoken, phrases = _phrases(language)
    return _fitting(phrases.reminder, gaps, about, spoken, phrases)[0]


def asked_for(field: Field, language: str) -> str:
    """In one sentence: as the schema says it, or made of the field's label and what its value looks like."""
    spoken, phrases = _phrases(language)
    if spoken in field.questions:
        return field.questions[spoken]
    hint = _hint(field, phrases)
    return _clipped(phrases.generic.format(label=_label(field, spoken)) + (f" ({hint})" if hint else ""), _LONGEST_ASK)


def _phrases(language: str) -> tuple[str, Phrases]:
    known = PHRASES.get(language)
    return (language, known) if known is not None else ("en", ENGLISH)


def _fitting(
    opening: tuple[str, str], gaps: Sequence[Field], about: About, language: str, phrases: Phrases
) -> tuple[str, Sequence[Field]]:
    for count in range(len(gaps), 1, -1):
        text = _text(opening, gaps[:count], about, language, phrases)
        if len(text) <= LONGEST:
            return text, gaps[:count]
    return _text(opening, gaps[:1], about, language, phrases), gaps[:1]


def _text(opening: tuple[str, str], gaps: Sequence[Field], about: About, language: str, phrases: Phrases) -> str:
    first = _about(opening, about, len(gaps), phrases)
    parts = _greeting(about, phrases), first, "\n".join(_asks(gaps, language)), phrases.unknown_is_fine, phrases.thanks
    return "\n\n".join(parts)


def _greeting(about: About, phrases: Phrases) -> str:
    name = _line(about.sender)
    return phrases.greeting_by_name.format(name=name) if name else phrases.greeting


def _about(template: tuple[str, str], about: About, count: int, phrases: Phrases) -> str:
    one, several = template
    subject = _line(about.subject)
    what = phrases.message_on.format(subject=subject) if subject else phrases.message
    sentence = (one if count == 1 else several).format(message=what, date=about.sent_on.isoformat())
    return f"{sentence}\n{phrases.reference.format(reference=about.reference)}"


def _asks(gaps: Sequence[Field], language: str) -> list[str]:
    asks = [asked_for(field, language) for field in gaps]
    return asks if len(asks) == 1 else [f"{number}. {ask}" for number, ask in enumerate(asks, 1)]


def _label(field: Field, language: str) -> str:
    labels = field.labels.get(language) or field.labels.get("en")
    return labels[0] if labels else field.path.rpartition(".")[2].replace("_", " ")


def _hint(field: Field, phrases: Phrases) -> str:
    match field.type:
        case "date":
            return phrases.as_date
        case "choice" if field.choices:
            return phrases.one_of.format(choices=", ".join(field.choices))
        case "boolean":
            return phrases.yes_or_no
        case "amount" | "number" | "integer":
            return phrases.as_number
        case "text" | "choice" | "email" | "phone" | "identifier":
            return ""


def _line(text: str) -> str:
    """Somebody else's words: printable, and not too many."""
    plain = " ".join("".join(each if each.isprintable() else " " for each in text).split())
    return _clipped(plain, _LONGEST_LINE)


def _clipped(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
