"""Texts as vectors, and which are near each other, by the words and parts of words that they share.

No model of a language: nothing is downloaded, and the same text gives the same vector in every process. `car` and
`automobile` are as far from each other as any two words; docs/skills.md says how well it does.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal
from unicodedata import combining, normalize

from msgspec import Meta, Struct

from domain.skill import RetryPolicy
from skills.skill import Context, skill

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]

_GAP: Final = re.compile(r"[\W_]+")
_WORD: Final = r"(?u)\b\w+\b"
_WORDS: Final[dict[str, Any]] = {"analyzer": "word", "ngram_range": (1, 2), "token_pattern": _WORD}
_PARTS: Final[dict[str, Any]] = {"analyzer": "char_wb", "ngram_range": (3, 5)}

METHOD: Final = "hashed-words-and-trigrams-1"
"""Vectors of different methods are not to be compared."""

Text = Annotated[str, Meta(max_length=1_000_000)]
Dimensions = Literal[128, 256, 512, 1024, 2048, 4096]


class Texts(Struct, frozen=True, forbid_unknown_fields=True):
    texts: Annotated[tuple[Text, ...], Meta(min_length=1, max_length=10_000)]
    dimensions: Dimensions = 512


class Embedded(Struct, frozen=True):
    """A vector of length 1 for each text, in order; all 0 for one without a letter or digit."""

    vectors: tuple[tuple[float, ...], ...]
    dimensions: int
    method: str


class Candidate(Struct, frozen=True, forbid_unknown_fields=True):
    id: str
    text: Text


class Search(Struct, frozen=True, forbid_unknown_fields=True):
    """Which of `among` are nearest to `text`."""

    text: Text
    among: Annotated[tuple[Candidate, ...], Meta(min_length=1, max_length=10_000)]
    most: Annotated[int, Meta(ge=1, le=1_000)] = 5
    least_score: Annotated[float, Meta(ge=0, le=1)] = 0.0


class Near(Struct, frozen=True):
    """`score` is the cosine: 1 for the same words, 0 for none in common."""

    id: str
    score: float


class Found(Struct, frozen=True):
    nearest: tuple[Near, ...]


@skill(
    "embed",
    capabilities=("embedding", "text"),
    runs="process",
    timeout=120.0,
    retry=RetryPolicy(attempts=2),
    effects=False,
)
def embed(asked: Texts, context: Context) -> Embedded:
    """Turns texts into vectors whose cosine is high where they share words and parts of words, in any language. It
    knows no synonyms."""
    vectors = vectors_of(asked.texts, asked.dimensions)
    return Embedded(tuple(tuple(row) for row in vectors.round(6).tolist()), asked.dimensions, METHOD)


@skill(
    "similar",
    capabilities=("similarity", "search", "text"),
    runs="process",
    timeout=120.0,
    retry=RetryPolicy(attempts=2),
    effects=False,
)
def similar(asked: Search, context: Context) -> Found:
    """Finds the texts nearest to one, with scores, by the words and parts of words that they share; what is rare among
    them counts for more."""
    scores = weighted([asked.text, *(each.text for each in asked.among)])
    nearest = sorted(
        (Near(each.id, score) for each, score in zip(asked.among, scores, strict=True) if score >= asked.least_score),
        key=lambda each: -each.score,
    )
    return Found(tuple(nearest[: asked.most]))


def vectors_of(texts: Sequence[str], dimensions: int) -> Matrix:
    """Feature hashing with signs keeps inner products in expectation; of counts the logarithm is taken.

    Source: K. Weinberger et al., "Feature Hashing for Large Scale Multitask Learning", ICML 2009.
    """
    import numpy as np

    plain = [_plain(text) for text in texts]
    words, parts = _hashed(plain, dimensions, "word"), _hashed(plain, dimensions, "char_wb")
    joined = words + parts
    length = np.linalg.norm(joined, axis=1, keepdims=True)
    return joined / np.where(length == 0, 1, length)


def _plain(text: str) -> str:
    """Letters and digits, without accents."""
    letters = "".join(each for each in normalize("NFKD", text) if not combining(each))
    return _GAP.sub(" ", letters).strip()


def _hashed(texts: Sequence[str], dimensions: int, analyzer: str) -> Any:
    import numpy as np

    reach = (1, 1) if analyzer == "word" else (3, 4)
    hashing: Any = import_module("sklearn.feature_extraction.text").HashingVectorizer(
        n_features=dimensions, analyzer=analyzer, ngram_range=reach, norm=None, token_pattern=_WORD
    )
    counts = hashing.transform(texts)
    counts.data = np.sign(counts.data) * np.log1p(np.abs(counts.data))
    dense = counts.toarray()
    length = np.linalg.norm(dense, axis=1, keepdims=True)
    return dense / np.where(length == 0, 1, length)


def weighted(texts: Sequence[str]) -> list[float]:
    """Cosines of the first with each of the others, of TF-IDF of words, and of parts of words for half as much."""
    vectorizer: Any = import_module("sklearn.feature_extraction.text").TfidfVectorizer
    total: Any = 0.0
    for share, kind in ((2 / 3, _WORDS), (1 / 3, _PARTS)):
        tfidf = vectorizer(strip_accents="unicode", sublinear_tf=True, **kind)
        try:
            found = tfidf.fit_transform(texts)
        except ValueError:  # no word in any of them
            return [0.0] * (len(texts) - 1)
        total = total + share * (found[1:] @ found[0].T).toarray().ravel()
    return [float(each) for each in total.clip(0, 1).round(6)]
