"""The sentences of a text that say most of it, in their order: LexRank."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final

from msgspec import Meta, Struct

from domain.skill import RetryPolicy
from skills.skill import Context, skill

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_DAMPING: Final = 0.85
_ROUNDS: Final = 100
_MOST: Final = 2_000
"""Sentences that are compared; a longer text is read as far as that."""

_ALIKE: Final = 0.7
"""Of two sentences with this cosine one is enough."""

_FEWEST_WORDS: Final = 4
_END: Final = re.compile(r"(?<=[.!?…])[\"'»”’)\]]*\s+(?=[\"'«“‘(\[¿¡]*[A-ZÀ-ÖØ-Þ0-9])|\n\s*\n+")
_ABBREVIATION: Final = re.compile(
    r"(?:^|[\s(])(?:[A-Za-z]|mr|mrs|ms|dr|prof|st|vs|etc|inc|ltd|no|nr|art|fig|vol|pp|ca|bzw|usw|evtl|ggf|abs|hr|fr"
    r"|str|tel|mme|mlle|env|sr|sra|srta|ud|uds|pág|núm|av|jan|feb|aug|sept|oct|nov|dec|\d{1,2})\.$",
    re.IGNORECASE,
)


class Document(Struct, frozen=True, forbid_unknown_fields=True):
    text: Annotated[str, Meta(max_length=2_000_000)]
    sentences: Annotated[int, Meta(ge=1, le=100)] = 3


class Sentence(Struct, frozen=True):
    """`place` counts the sentences of the text from 0; `score` is its share of all (LexRank)."""

    text: str
    place: int
    score: float


class Summarised(Struct, frozen=True):
    """`summary` is made of whole sentences of the text in their order; `of` is how many there are."""

    summary: str
    sentences: tuple[Sentence, ...]
    of: int


@skill(
    "summarise",
    capabilities=("summary", "text"),
    runs="process",
    timeout=120.0,
    retry=RetryPolicy(attempts=2),
    effects=False,
)
def summarise(asked: Document, context: Context) -> Summarised:
    """Summarises a text by its most central sentences, word for word and in their order; made for English, French,
    German and Spanish. It writes nothing of its own."""
    sentences = split(asked.text)[:_MOST]
    scores = centrality(sentences)
    chosen = sorted(best(sentences, scores, asked.sentences))
    picked = tuple(Sentence(sentences[place], place, round(scores[place], 6)) for place in chosen)
    return Summarised(" ".join(each.text for each in picked), picked, len(sentences))


def split(text: str) -> list[str]:
    """Sentences; a full stop behind an abbreviation, an initial or a short number ends none, an empty line does."""
    parts, begin = list[str](), 0
    for found in _END.finditer(text):
        if "\n" not in found[0].strip(" \t") and _ABBREVIATION.search(
            text[max(begin, found.start() - 20) : found.start()]
        ):
            continue
        parts.append(text[begin : found.end()])
        begin = found.end()
    parts.append(text[begin:])
    return [" ".join(part.split()) for part in parts if part.strip()]


def centrality(sentences: Sequence[str]) -> list[float]:
    """Continuous LexRank: the stationary distribution of a walk that goes to sentences as likely as they are alike.

    Source: G. Erkan, D. Radev, "LexRank: Graph-based Lexical Centrality as Salience in Text Summarization", JAIR 22,
    2004. Sentences of less than four words, such as headings, are nowhere the aim.
    """
    import numpy as np

    if not sentences:
        return []
    cosines = _cosines(sentences)
    short = np.array([len(each.split()) < _FEWEST_WORDS for each in sentences])
    if not short.all():
        cosines[:, short] = 0
    total = cosines.sum(axis=1, keepdims=True)
    count = len(sentences)
    walk = np.divide(cosines, total, out=np.full_like(cosines, 1 / count), where=total > 0)
    scores = np.full(count, 1 / count)
    for _ in range(_ROUNDS):
        following = (1 - _DAMPING) / count + _DAMPING * scores @ walk
        if np.abs(following - scores).max() < 1e-9:
            break
        scores = following
    return [float(each) for each in scores]


def best(sentences: Sequence[str], scores: Sequence[float], wanted: int) -> list[int]:
    """Places of the highest scores, without those that say again what is chosen already."""
    cosines = _cosines(sentences) if sentences else None
    chosen = list[int]()
    for place in sorted(range(len(sentences)), key=lambda place: (-scores[place], place)):
        if len(chosen) < wanted and cosines is not None and all(cosines[place, each] < _ALIKE for each in chosen):
            chosen.append(place)
    return chosen


def _cosines(sentences: Sequence[str]) -> NDArray[np.float64]:
    """Of TF-IDF; of a sentence without words 0 with every other."""
    import numpy as np
    from sklearn.feature_extraction.text import TfidfVectorizer

    tfidf: Any = TfidfVectorizer(strip_accents="unicode", token_pattern=r"(?u)\b[^\W\d_]{2,}\b")
    try:
        found = tfidf.fit_transform(sentences)
    except ValueError:
        return np.zeros((len(sentences), len(sentences)))
    cosines: NDArray[np.float64] = (found @ found.T).toarray()
    return cosines
