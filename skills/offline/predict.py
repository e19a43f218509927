"""Predictions by the models in use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from msgspec import Meta, Struct

from domain.skill import RetryPolicy
from eventstore.errors import EventStoreError, LogUnavailable
from models.serve.errors import ModelNotChosen, NoPrediction, UnknownModel
from models.serve.rows import RowsInvalid
from skills.skill import Context, Skill, SkillFailed, skill, skill_of

if TYPE_CHECKING:
    from models.serve.serving import Predictor


class Rows(Struct, frozen=True, forbid_unknown_fields=True):
    """Features by name, for each row; null for what is not known. The `version` in use where none is named."""

    rows: Annotated[list[dict[str, Any]], Meta(min_length=1, max_length=10_000)]
    model_id: str = ""
    version: str = ""


class Predicted(Struct, frozen=True):
    """For each row, in order. `ids` are what labels refer to; none where nothing is recorded."""

    predictions: tuple[str, ...]
    confidences: tuple[float, ...]
    ids: tuple[str, ...]
    model_id: str
    version: str


def predict_skill(predictor: Predictor) -> Skill[Any, Any]:
    """Each prediction is recorded as any other: a call that is repeated is recorded again."""

    @skill("predict", capabilities=("models", "prediction"), timeout=30.0, retry=RetryPolicy(attempts=4))
    async def predict(asked: Rows, context: Context) -> Predicted:
        """Predicts with the version of a model that is in use, or a named one; gives labels and confidences."""
        try:
            served = await predictor.version(asked.model_id or None, asked.version or None)
            rows = served.rows.many_of(asked.rows, "/rows")
            answer = await predictor.predict(served, rows, context.system.call)
        except (RowsInvalid, UnknownModel, ModelNotChosen) as error:
            raise SkillFailed(str(error), retryable=False) from error
        except (NoPrediction, EventStoreError) as error:
            raise SkillFailed(f"{type(error).__name__}: {error}", retryable=_passes(error)) from error
        labels, confidences = tuple(answer.predictions), tuple(answer.confidences)
        return Predicted(labels, confidences, tuple(answer.ids or ()), served.model_id, served.version)

    return skill_of(predict)


def _passes(error: Exception) -> bool:
    """A model may be promoted, the log come back; a row that no message holds stays one."""
    return isinstance(error, NoPrediction | LogUnavailable)
