"""Which blobs events name, that must be kept as long as the log."""

from __future__ import annotations

from domain import dataset, experiment, model, monitor, record, workflow
from domain.workflow import Value


def named_by(event: object) -> tuple[str, ...]:
    """The hashes in a decoded event. Not those of observed rows (`content` in a monitor's observations): these are kept
    for a time only."""
    match event:
        case dataset.Registered(content=content):
            return (content,)
        case experiment.Requested(dataset=data, champion=champion):
            return (*((data.content,) if data else ()), *((champion.artifact,) if champion else ()))
        case experiment.DatasetAssembled(dataset=data):
            return (data.content,)
        case experiment.Trained(artifact=artifact):
            return (artifact,)
        case model.VersionAdded(artifact=artifact, content=content):
            return (artifact, content)
        case monitor.Began(reference=reference):
            return (reference,)
        case record.Received(message=message, original=original):
            return _there(original, *(each.content for each in message.attachments))
        case record.Enriched(enrichment=found):
            texts = (*found.texts, *((found.translation,) if found.translation else ()))
            return _there(*(each.content for each in found.attachments), *(each.content for each in texts))
        case record.Analysed(analysis=analysis):
            return tuple(hash for each in analysis.exchanges for hash in (each.prompt, each.answer))
        case workflow.Started(input=value) | workflow.Requested(input=value) | workflow.Revised(remarks=value):
            return _stored(value)
        case workflow.StepStarted(items=Value() as value):
            return _stored(value)
        case workflow.StepCompleted(output=value) | workflow.Completed(output=value):
            return _stored(value)
        case workflow.Succeeded(output=value, exchanges=exchanges):
            return (*_stored(value), *exchanges)
        case _:
            return ()


def _stored(value: Value) -> tuple[str, ...]:
    return (value.hash,) if value.hash else ()


def _there(*hashes: str | None) -> tuple[str, ...]:
    return tuple(hash for hash in hashes if hash is not None)
