"""The words of a question: all gaps at once, in the sender's language, and no answer is an answer, too."""

from datetime import date

import pytest

from domain.follow_up import LONGEST, About, asked_for, question, reminder
from domain.schema import Field

ABOUT = About("clinic-1", date(2026, 11, 21), "Ann", "Blood test")
AGE = Field("patient.age", "integer", questions={"en": "How old is the patient?", "de": "Wie alt ist der Patient?"})
DUE = Field("due_date", "date", labels={"en": ("due date", "payable by"), "fr": ("date d'échéance",)})
LANGUAGES = ("en", "fr", "de", "es")


def test_one_gap_is_asked_for_without_a_number():
    asked = question([AGE], ABOUT, "en")
    assert asked.gaps == ("patient.age",)
    assert asked.text == (
        "Hello Ann,\n\n"
        "Thank you for your message “Blood test” of 2026-11-21. One thing is missing for us to go on:\n"
        "(reference: clinic-1)\n\n"
        "How old is the patient?\n\n"
        "If you do not know, or would rather not say, just tell us so: “I don't know” is an answer, too.\n\n"
        "Please reply to this message. Thank you!"
    )


def test_several_gaps_are_one_message_with_a_number_each():
    asked = question([AGE, DUE], ABOUT, "en")
    assert asked.gaps == ("patient.age", "due_date")
    assert "1. How old is the patient?\n2. What is the due date? (as year-month-day, such as 2026-01-31)" in asked.text


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_says_all_of_it(language):
    one, two = question([AGE], ABOUT, language), question([AGE, DUE], ABOUT, language)
    again = reminder([AGE], ABOUT, language)
    assert one.language == two.language == language
    for text in (one.text, two.text, again):
        assert "clinic-1" in text
        assert "Blood test" in text
        assert "Ann" in text
        assert not {"{", "}"} & set(text)
    assert len({one.text, two.text, again}) == 3
    assert "\n2. " in two.text


def test_no_two_languages_say_the_same():
    texts = {part for language in LANGUAGES for part in question([DUE], ABOUT, language).text.split("\n\n")[1:]}
    assert len(texts) == 4 * len(LANGUAGES)


def test_a_language_that_is_none_of_ours_is_asked_in_english():
    asked = question([AGE], ABOUT, "fi")
    assert asked == question([AGE], ABOUT, "en")
    assert asked.language == "en"


@pytest.mark.parametrize(
    ("field", "language", "asked"),
    [
        (AGE, "de", "Wie alt ist der Patient?"),
        (AGE, "es", "¿Puede indicarnos lo siguiente: age? (un número)"),
        (DUE, "fr", "Pouvez-vous nous indiquer : date d'échéance ? (année-mois-jour, par exemple 2026-01-31)"),
        (DUE, "de", "Was können Sie uns hierzu sagen: due date? (Jahr-Monat-Tag, etwa 2026-01-31)"),
        (Field("cargo.hazard_class"), "en", "What is the hazard class?"),
        (Field("mode", "choice", choices=("air", "sea")), "en", "What is the mode? (one of: air, sea)"),
        (Field("insured", "boolean"), "en", "What is the insured? (yes or no)"),
    ],
)
def test_without_a_question_in_the_schema_the_label_makes_one(field, language, asked):
    assert asked_for(field, language) == asked


def test_who_is_not_known_by_name_is_greeted_all_the_same():
    text = question([AGE], About("r1", date(2026, 1, 1)), "en").text
    assert text.startswith("Hello,\n\nThank you for your message of 2026-01-01.")


def test_what_others_wrote_cannot_pretend_to_be_ours():
    """Neither lines of their own nor placeholders, and not for pages."""
    about = About("r1", date(2026, 1, 1), "A\nn\tn\x00 {date}", "x" * 500)
    lines = question([AGE], about, "en").text.split("\n")
    assert lines[0] == "Hello A n n {date},"
    assert "x" * 119 + "…" in lines[2]
    assert "x" * 120 not in lines[2]


def test_a_reminder_asks_for_what_it_is_given():
    text = reminder([DUE], ABOUT, "en")
    assert "A short reminder about your message “Blood test” of 2026-11-21. One thing is still missing:" in text
    assert "\nWhat is the due date?" in text


@pytest.mark.parametrize("language", LANGUAGES)
def test_of_more_gaps_than_fit_into_a_message_the_first_are_asked_for(language):
    """What is still missing after the answer is the next round's."""
    gaps = [Field(f"field_{number}", questions={language: "W" * 190 + "?"}) for number in range(200)]
    asked = question(gaps, ABOUT, language)
    assert LONGEST - 200 < len(asked.text) <= LONGEST
    assert asked.gaps == tuple(field.path for field in gaps[: len(asked.gaps)])
    assert f"\n{len(asked.gaps)}. W" in asked.text
    assert len(reminder(gaps, ABOUT, language)) <= LONGEST


def test_one_gap_always_fits():
    worst = Field("mode", "choice", labels={"en": ("l" * 200,)}, choices=tuple("c" * 200 for _ in range(99)))
    about = About("r" * 128, date(2026, 1, 1), "n" * 300, "s" * 2_000)
    for language in LANGUAGES:
        assert len(question([worst, worst], about, language).text) <= LONGEST
