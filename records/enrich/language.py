"""Which language a text is in, by py3langid among languages that are written to a business in Europe and America."""

from __future__ import annotations

import re
from functools import cache
from importlib import import_module
from typing import Any, Final, NamedTuple

_LANGUAGES: Final = (
    *("bg", "ca", "cs", "da", "de", "el", "en", "es", "et", "fi", "fr", "hr", "hu", "it", "lt", "lv"),
    *("nl", "no", "pl", "pt", "ro", "ru", "sk", "sl", "sv", "tr", "uk"),
)
_NOT_WORDS: Final = re.compile(r"\S*(?:@|://|www\.)\S*|[\d_]+|[^\w\s]+")
_SAMPLE: Final = 1_000
"""Characters: more do not change the answer, and cost time."""

_FEWEST_WORDS: Final = 4
_FEWEST_LETTERS: Final = 20
_SURE: Final = 0.6
_UNSURE: Final = 0.2


class Told(NamedTuple):
    """`confidence` is the probability among the languages known here; below `_SURE` it is that of the source."""

    language: str
    confidence: float

    @property
    def sure(self) -> bool:
        return self.confidence >= _SURE


def load() -> None:
    """Reads the model, which takes a second."""
    _identifier().classify("load")


def language_of(text: str, language_of_source: str) -> Told:
    """That of the source, with little confidence, when the text is too short or of no language."""
    words = _NOT_WORDS.sub(" ", text[: 4 * _SAMPLE]).split()
    sample = " ".join(words)[:_SAMPLE]
    if len(words) < _FEWEST_WORDS or len(sample) - sample.count(" ") < _FEWEST_LETTERS:
        return Told(language_of_source, _UNSURE)
    language, probability = _identifier().classify(sample)
    if probability < _SURE:
        return Told(language_of_source, _UNSURE)
    return Told(str(language), round(min(1.0, float(probability)), 3))


@cache
def _identifier() -> Any:
    langid: Any = import_module("py3langid.langid")
    identifier = langid.LanguageIdentifier.from_model_file(langid.MODEL_FILE, norm_probs=True)
    identifier.set_languages(list(_LANGUAGES))
    return identifier
