"""Which skill or workflow is meant, by words: the cosine of TF-IDF vectors of what is asked for and of what is offered.

Vectors are of the beginnings, middles and ends of words (3 to 5 letters), so that "summarise" meets "summary"; words
that are in every sentence do not count. Salton and Buckley, "Term-weighting approaches in automatic text retrieval",
Information Processing & Management 24(5), 1988.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from projections.offers import Offer

NEAR: Final = 0.15
"""The least score of what is taken for meant."""

_WORD: Final = re.compile(r"[^\W_]+")


class Meant(NamedTuple):
    offer: Offer
    score: float


def ranked(goal: str, offers: Sequence[Offer]) -> list[Meant]:
    """Best first; of the same score in the order given. Takes a second when it is first called, for the import."""
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS, TfidfVectorizer

    if not offers:
        return []

    def words(text: str) -> str:
        return " ".join(word for word in _WORD.findall(text.lower()) if word not in ENGLISH_STOP_WORDS)

    texts = [words(f"{offer.id} {offer.id} {offer.words}") for offer in offers]
    vectorizer: Any = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True)
    try:
        vectors: Any = vectorizer.fit_transform(texts)
    except ValueError:  # nothing in them but words that do not count
        return [Meant(offer, 0.0) for offer in offers]
    scores: list[float] = (vectors @ vectorizer.transform([words(goal)]).T).toarray()[:, 0].tolist()
    found = [Meant(offer, round(score, 4)) for offer, score in zip(offers, scores, strict=True)]
    return sorted(found, key=lambda meant: -meant.score)
