"""The reference that a version in use is watched beside, stored with the hashes of what it was computed from.

It is kept, not computed again: then a replay needs no artifact, and does not hang on the libraries that read it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import msgspec
from msgspec import Struct, structs

from domain import experiment, model, monitor
from domain.detectors import POLICY, Reference, reference_of, thresholds
from domain.drift import Thresholds
from domain.model import Holdout
from domain.model_policy import Monitoring
from domain.pipeline import Feature
from eventstore.blobs import BlobMissing
from models.data.tables import Columns, Kinds, from_parquet
from models.learn import artifacts
from models.learn.encoding import category
from models.learn.evaluation import answers
from models.learn.fitting import TaskImpossible, holdout
from models.learn.training import TrainingTask
from models.observe.observed import RESERVED
from models.observe.observing import Overtaken, Sources, Unwatchable

log = logging.getLogger(__name__)


class StoredReference(Struct, frozen=True):
    """`dataset` is what the version was trained on, `artifact` the version; the predictions in the reference are those
    of the rows held out of its training."""

    dataset: str
    artifact: str
    reference: Reference


class _Inputs(NamedTuple):
    task: TrainingTask
    data: bytes
    artifact: bytes
    artifact_hash: str
    holdout: Holdout


Get = Callable[[str], Awaitable[bytes]]
"""What is stored under a hash."""


async def read_reference(get: Get, content: str) -> Reference:
    """Raises BlobMissing, LogUnavailable."""
    stored = await get(content)
    try:
        return (await asyncio.to_thread(msgspec.json.decode, stored, type=StoredReference)).reference
    except msgspec.DecodeError as error:
        raise BlobMissing(f"{content} is no reference: {error}") from error


async def beginning(sources: Sources, known: model.Known, after: int, turn: int) -> monitor.Begin:
    """Of the version in use; `after` and `turn` as in `monitor.Begin`.

    Raises Unwatchable, BlobMissing, ArtifactRefused, LogUnavailable.
    """
    assert known.active is not None
    version = known.versions[known.active]
    inputs = _Inputs(
        await _task(sources, version),
        await sources.blobs.get(version.content),
        await sources.blobs.get(version.artifact),
        version.artifact,
        version.holdout,
    )
    reference = await sources.blobs.put(await asyncio.to_thread(_stored, inputs))
    monitoring = known.policy.monitoring
    return monitor.Begin(
        known.active,
        reference,
        version.holdout,
        monitoring,
        thresholds_for(monitoring, known.features),
        POLICY,
        after,
        turn,
    )


async def begin_anew(sources: Sources, model_id: str, beginnings: int) -> None:
    """Beside the same reference, with detectors that have seen nothing, where rows that were observed since beginning
    number `beginnings` are kept no longer. Raises Overtaken, LogUnavailable."""
    _, state = await sources.state(model_id)
    if state.beginnings != beginnings:
        raise Overtaken("it has begun anew already")
    began = structs.replace(state.began, policy_version=POLICY, after=state.inputs_to)
    command = monitor.Begin(*structs.astuple(began))
    await sources.observe(model_id, command, f"begin-{model_id}-anew-{beginnings}")
    log.warning("observed rows of model %s are kept no longer: its detectors begin anew", model_id)


async def _task(sources: Sources, version: model.Version) -> TrainingTask:
    """What the version was trained by says which rows were held out."""
    found = (await sources.aggregates.load(experiment.experiment, version.experiment_id, latest=True)).state
    if isinstance(found, experiment.Unknown):
        raise Unwatchable(f"there is no experiment {version.experiment_id}")
    of, training = found.requested, found.requested.policy.training
    reserved = sorted(RESERVED & {feature.name for feature in of.features})
    if reserved:
        raise Unwatchable(f"features must not be called {', '.join(reserved)}")
    return TrainingTask(version.content, of.features, of.target, of.pipeline, of.seed, training.holdout, training.split)


def thresholds_for(monitoring: Monitoring, features: tuple[Feature, ...]) -> Thresholds:
    numeric = sum(feature.type == "number" for feature in features)
    return thresholds(monitoring, numeric, sum(feature.type == "category" for feature in features))


def _stored(inputs: _Inputs) -> bytes:
    task = inputs.task
    rows, _ = from_parquet(inputs.data)
    # Hardly a text comes twice: their distribution says nothing. What the model makes of them is compared all the same.
    compared = [each for each in task.features if each.type != "text"]
    columns: Columns = {
        each.name: rows[each.name] if each.type == "number" else [category(value) for value in rows[each.name]]
        for each in compared
    }
    kinds: Kinds = {each.name: each.type for each in compared}
    try:
        held_out = holdout(task, inputs.data)
    except TaskImpossible as error:
        raise Unwatchable(f"its training data cannot be read again: {error}") from error
    predictions = answers(artifacts.load(inputs.artifact), held_out).labels
    reference = reference_of(columns, kinds, predictions, inputs.holdout)
    return msgspec.json.encode(StoredReference(task.content, inputs.artifact_hash, reference))
