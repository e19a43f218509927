"""A text as numbers: how often it has each word, pair of words and part of a word, weighted by how rare these are.

Every one has a place by its hash (MurmurHash3), so that no list of words is kept: an artifact has a known size
and holds nothing of the texts it was made from. Weights: (1 + log tf) (1 + log((1 + n) / (1 + df))), to length 1, as
scikit-learn's TfidfTransformer has them.
"""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# scikit-learn has no types

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer

_ANALYSES: Final[Mapping[str, Mapping[str, Any]]] = {
    "words": {"analyzer": "word", "ngram_range": (1, 2), "n_features": 2**13},
    "parts": {"analyzer": "char_wb", "ngram_range": (4, 6), "n_features": 2**14},
}
WIDTH: Final = sum(analysis["n_features"] for analysis in _ANALYSES.values())
"""Columns that one text becomes."""


def text_steps() -> dict[str, list[tuple[str, Any]]]:
    """By analysis; not fitted yet. All of them read the same column."""
    return {name: [("count", _counter(name)), ("weigh", _weights())] for name in _ANALYSES}


def check_text_steps(steps: Mapping[str, Sequence[Any]]) -> None:
    """Raises ValueError unless these are the fitted ones: with other parameters they could read files, or write
    beside their columns."""
    if steps.keys() != _ANALYSES.keys():
        raise ValueError("a text is read for its words and their parts")
    for name, found in steps.items():
        match found:
            case [HashingVectorizer() as counter, TfidfTransformer() as weights]:
                _check_parameters(counter, _counter(name))
                _check_parameters(weights, _weights())
                _check_weights(weights, int(_ANALYSES[name]["n_features"]))
            case _:
                raise ValueError("words are counted and weighed")


def _counter(name: str) -> Any:
    unscaled: Any = None
    return HashingVectorizer(**_ANALYSES[name], strip_accents="unicode", norm=unscaled, alternate_sign=False)


def _weights() -> Any:
    return TfidfTransformer(sublinear_tf=True)


def _check_parameters(found: Any, expected: Any) -> None:
    if vars(found) | vars(expected) != vars(found) or found.get_params() != expected.get_params():
        raise ValueError("texts are not read as they are here")


def _check_weights(weights: Any, width: int) -> None:
    idf = weights.idf_
    is_column = isinstance(idf, np.ndarray) and (idf.shape, idf.dtype) == ((width,), np.float64)
    if not is_column or not np.isfinite(idf).all():
        raise ValueError("there are other weights than words")
