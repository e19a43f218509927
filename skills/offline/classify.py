"""Texts by examples that come with the request."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from importlib import import_module
from typing import Annotated, Any, Final

from msgspec import Meta, Struct

from domain.skill import RetryPolicy
from skills.skill import Context, SkillFailed, skill

Text = Annotated[str, Meta(max_length=100_000)]
Label = Annotated[str, Meta(min_length=1, max_length=200)]
_FOLDS: Final = 5


class Example(Struct, frozen=True, forbid_unknown_fields=True):
    text: Text
    label: Label


class Classifying(Struct, frozen=True, forbid_unknown_fields=True):
    texts: Annotated[tuple[Text, ...], Meta(min_length=1, max_length=10_000)]
    examples: Annotated[tuple[Example, ...], Meta(min_length=2, max_length=10_000)]


class Class(Struct, frozen=True):
    """`probabilities` of all labels; `known` is the share of the text's words that stand in an example: where it is 0,
    nothing is known of the text and the label is no more than a guess."""

    label: str
    probability: float
    probabilities: dict[str, float]
    known: float


class Classified(Struct, frozen=True):
    """One for each text, in order. `accuracy` is the share of the examples that the others would have told right
    (cross-validation), None where a label has just one."""

    classes: tuple[Class, ...]
    accuracy: float | None


@skill(
    "classify",
    capabilities=("classification", "text"),
    runs="process",
    timeout=300.0,
    retry=RetryPolicy(attempts=2),
    effects=False,
)
def classify(asked: Classifying, context: Context) -> Classified:
    """Tells which of the labels of given examples texts have, with probabilities (TF-IDF of words and logistic
    regression), and how often it would be right for the examples themselves."""
    labels = [each.label for each in asked.examples]
    if len(set(labels)) < 2:
        raise SkillFailed("the examples have only one label: there is nothing to tell apart", retryable=False)
    known = [each.text for each in asked.examples]
    if not any(character.isalnum() for text in known for character in text):
        raise SkillFailed("the examples have no words", retryable=False)
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        return Classified(_told(asked.texts, known, labels), _accuracy(known, labels))


def _told(texts: Sequence[str], known: Sequence[str], labels: Sequence[str]) -> tuple[Class, ...]:
    pipeline = _pipeline().fit(known, labels)
    analyse, vocabulary = pipeline[0].build_analyzer(), pipeline[0].vocabulary_
    told = list[Class]()
    for text, found in zip(texts, pipeline.predict_proba(texts).round(6).tolist(), strict=True):
        probabilities: dict[str, float] = dict(zip(map(str, pipeline.classes_), found, strict=True))
        label = max(probabilities, key=probabilities.__getitem__)
        words = analyse(text)
        share = sum(word in vocabulary for word in words) / len(words) if words else 0.0
        told.append(Class(label, probabilities[label], probabilities, round(share, 4)))
    return tuple(told)


def _accuracy(known: Sequence[str], labels: Sequence[str]) -> float | None:
    least = min(Counter(labels).values())
    if least < 2:
        return None
    selection: Any = import_module("sklearn.model_selection")
    folds = selection.StratifiedKFold(min(_FOLDS, least), shuffle=True, random_state=0)
    scores = selection.cross_val_score(_pipeline(), list(known), list(labels), cv=folds)
    return round(float(scores.mean()), 4)


def _pipeline() -> Any:
    vectorizer: Any = import_module("sklearn.feature_extraction.text").TfidfVectorizer
    words = vectorizer(strip_accents="unicode", sublinear_tf=True, token_pattern=r"(?u)\b\w+\b")
    regression: Any = import_module("sklearn.linear_model").LogisticRegression
    steps = words, regression(C=10.0, class_weight="balanced", max_iter=1_000)
    return import_module("sklearn.pipeline").make_pipeline(*steps)
