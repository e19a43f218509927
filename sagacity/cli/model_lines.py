"""What is printed of an experiment and of the evidence that it waits for, a line each, in the markup of rich."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, get_args

import msgspec
from rich.markup import escape

from domain import experiment, gate
from sagacity.cli.output import percent
from sagacity.demo.lines import meter

_TYPES: Final[dict[str, type[experiment.Event]]] = {
    str(each.__struct_config__.tag): each for each in get_args(experiment.Event)
}
_BEGINS: Final[dict[experiment.Step, str]] = {
    "assemble": "labelled rows are put together",
    "train": "it is trained",
    "evaluate": "it is tried on the rows held out",
    "shadow": "it answers in the shadow of the version in use",
    "promote": "it takes over",
    "watch": "the version before goes on in its shadow",
}


def event_of(document: Mapping[str, Any]) -> experiment.Event | None:
    """An experiment's event as the API shows it; None: one of a later program."""
    found = _TYPES.get(document["type"])
    return None if found is None else msgspec.convert(document["data"], found)


def experiment_line(event: experiment.Event) -> str:
    match event:
        case experiment.Requested(model_id, version, trigger, reason):
            text = f"version {version} of {model_id} is asked for by {trigger}{f': {reason}' if reason else ''}"
        case experiment.StepStarted(step):
            text = f"{step}: {_BEGINS[step]}"
        case experiment.DatasetAssembled(dataset):
            text = f"{dataset.samples} rows: {dataset.dataset_id}, SHA-256 {dataset.content[:12]}…"
        case experiment.Trained():
            text = f"trained on {event.training_samples} rows in {event.duration_seconds:.1f} s"
        case experiment.Evaluated():
            text = _evaluated(event)
        case experiment.Decided(decision, reason):
            return _coloured("green" if decision == "promote" else "red", f"{decision}: {reason}")
        case experiment.Promoted():
            return _coloured("green", "promoted: it is in use")
        case experiment.RollbackStarted(reason) | experiment.CancellationRequested(reason):
            return _coloured("red", f"on the way back{f': {reason}' if reason else ''}")
        case experiment.Concluded(outcome, reason):
            return _coloured("green" if outcome == "promoted" else "red", f"{outcome.replace('_', ' ')}: {reason}")
    return escape(text)


def evidence_line(kind: str, judgement: gate.Judgement) -> str:
    """How far the evidence about the other version has come; a full meter decides."""
    pairs = judgement.pairs
    better = meter(judgement.log_e_better, judgement.odds, "green")
    worse = meter(judgement.log_e_worse, judgement.odds, "red")
    counted = f"alone right {pairs.other_only:3}, the one in use {pairs.active_only:3}"
    return f"{kind}: {pairs.rows:4} labels, {counted}  better {better} worse {worse}"


def _evaluated(event: experiment.Evaluated) -> str:
    metrics = event.metrics
    text = f"right on {percent(metrics['accuracy'])} of {event.holdout.rows} rows held out"
    if "majority" in metrics:
        text += f"; always naming the most common class: {percent(metrics['majority'])}"
    if event.champion:
        text += f"; the version in use: {percent(event.champion['accuracy'])}"
    return text


def _coloured(colour: str, text: str) -> str:
    return f"[{colour}]{escape(text)}[/{colour}]"
