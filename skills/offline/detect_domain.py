"""Which domain a text is of, as records are told apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from msgspec import Meta, Struct

from domain.skill import RetryPolicy
from skills.skill import Context, Skill, skill, skill_of

if TYPE_CHECKING:
    from records.analyse.domains import DomainClassifier


class Text(Struct, frozen=True, forbid_unknown_fields=True):
    """Of which the first 1,000 characters are read."""

    text: Annotated[str, Meta(max_length=2_000_000)]


class Domain(Struct, frozen=True):
    """`candidates` are all domains with their probabilities, or just the one named where the model in use says no
    more. `prediction` is what a label for it refers to; empty when nothing is recorded."""

    domain: str
    confidence: float
    candidates: dict[str, float]
    classifier: str
    prediction: str


def domain_skill(classifier: DomainClassifier) -> Skill[Any, Any]:
    """Where a model `record-domains` is in use it answers, through the predictor that the classifier was given."""

    @skill(
        "detect_domain",
        capabilities=("classification", "text"),
        timeout=60.0,
        retry=RetryPolicy(attempts=3),
        effects=False,
    )
    async def detect_domain(asked: Text, context: Context) -> Domain:
        """Tells whether a text is financial, logistics, medical or something else, with probabilities."""
        found = await classifier.classify(asked.text, context.system.call)
        return Domain(found.domain, found.confidence, found.candidates, found.classifier, found.prediction)

    return skill_of(detect_domain)
