"""Commands that need more than their own aggregate: what they mean, with everything looked up."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from domain import (
    dataset,
    deployment,
    entity,
    environment,
    experiment,
    feature,
    model,
    monitor,
    organization,
    record,
    skill,
    source,
    stack,
    workflow,
    workflow_definition,
)
from domain.decider import Decider, Refusal
from domain.feature_rules import value_faults
from domain.pipeline import Pipeline
from domain.strategy import Canary, Strategy, declared
from handlers.parts import Load, Part
from handlers.receiving import received, unknown_fields
from handlers.starting import SAID, invoked, said, started, unsound_definition, unsound_skill
from handlers.unsound import LOOKED_AT, unsound

_LONGEST_ID: Final = 80
"""The ids of a saga, its effects and reports are made of its subject's, and ids have at most 128 characters."""

_VALUES: Final = "values"
"""Among the paths of features."""


_OWNED: Final = (stack.Register, environment.Register, model.Register, source.Register, source.Configure)


async def resolve(
    decider: Decider[Any, Any, Any], id: str, command: Any, load: Load, stored: workflow.Value | None = None
) -> list[Part] | Refusal:
    """What each aggregate is told. Most commands concern just one. `stored` is the input of a run where it is large."""
    if isinstance(command, workflow.Start):
        return await started(id, command, load, stored)
    if isinstance(command, SAID):
        return said(decider, id, command)
    if isinstance(command, workflow.Invoke):
        return await invoked(id, command, load, stored)
    if isinstance(command, workflow_definition.Publish):
        return unsound_definition(command) or [Part(decider, id, command)]
    if isinstance(command, skill.Register):
        return await asyncio.to_thread(unsound_skill, command) or [Part(decider, id, command)]
    if isinstance(command, deployment.Request):
        return await _deployment_request(id, command, load)
    if isinstance(command, model.Register | model.Configure | model.Retrain) and command.pipeline is not None:
        faults = await _pipeline_faults(command.pipeline)
        if faults:
            return Refusal("pipeline_invalid", "; ".join(faults))
    if isinstance(command, model.Register) and len(id) > _LONGEST_ID:
        return _too_long("model")
    if isinstance(command, model.Retrain):
        return await _training(id, command, command.trigger, load)
    if isinstance(command, model.AskForTraining):
        return await _training(id, model.Retrain(reason=command.reason), command.trigger, load)
    if isinstance(command, record.Receive):
        return await received(id, command, load)
    if isinstance(command, record.Correct | record.Answer):
        return await unknown_fields(id, command, load) or [Part(decider, id, command)]
    if isinstance(command, LOOKED_AT):
        wrong = await asyncio.to_thread(unsound, id, command)
        if wrong is not None:
            return wrong
    if isinstance(command, feature.Define) and id == _VALUES:
        return Refusal("name_reserved", f"{_VALUES!r} stands for the values of all features")
    if isinstance(command, feature.Derive):
        return await _unsound_lineage(id, command, load) or [Part(decider, id, command)]
    if isinstance(command, entity.RecordFeatures):
        return await _wrong_values(command, load) or [Part(decider, id, command)]
    if isinstance(command, _OWNED) and command.organization_id:
        owner = await load(organization.organization, command.organization_id)
        if isinstance(owner, organization.Unknown):
            return Refusal("organization_not_found", f"there is no organization {command.organization_id}")
    return [Part(decider, id, command)]


async def _deployment_request(id: str, request: deployment.Request, load: Load) -> list[Part] | Refusal:
    """Look everything up once, and reserve the stack's place in the environment in the same write."""
    if len(id) > _LONGEST_ID:
        return _too_long("deployment")
    known_stack = await load(stack.stack, request.stack_id)
    if isinstance(known_stack, stack.Unknown):
        return Refusal("stack_not_found", f"there is no stack {request.stack_id}")
    known_environment = await load(environment.environment, request.environment_id)
    if isinstance(known_environment, environment.Unknown):
        return Refusal("environment_not_found", f"there is no environment {request.environment_id}")
    opened = _opened(request, known_stack, known_environment)
    if isinstance(opened, Refusal):
        return opened
    return [
        Part(deployment.deployment, id, opened),
        Part(environment.environment, request.environment_id, environment.ReserveRollout(request.stack_id, id)),
    ]


async def _pipeline_faults(described: Pipeline) -> list[str]:
    def faults() -> list[str]:
        from models.learn import pipelines  # scikit-learn takes seconds to import: not before there is a model

        return pipelines.faults(described)

    return await asyncio.to_thread(faults)


def _too_long(what: str) -> Refusal:
    return Refusal("id_too_long", f"the id of a {what} has at most {_LONGEST_ID} characters: others grow from it")


async def _training(id: str, command: model.Retrain, trigger: model.Trigger, load: Load) -> list[Part] | Refusal:
    """The model's one place for a training is reserved in the same write."""
    known = await load(model.model, id)
    if isinstance(known, model.Unknown):
        return Refusal("model_not_found", "there is no such model")
    data = await _dataset(command.dataset_id, known, load) if command.dataset_id is not None else None
    if isinstance(data, Refusal):
        return data
    watching = await load(monitor.monitor, id)
    version, champion = known.next_version, known.versions.get(known.active or "")
    opened = experiment.Open(
        id,
        version,
        trigger,
        command.reason,
        known.features,
        known.target,
        command.pipeline or known.pipeline,
        command.seed,
        known.policy,
        data,
        experiment.Champion(known.active, champion.artifact) if known.active and champion else None,
        watching.rows if isinstance(watching, monitor.Watching) else 0,
    )
    experiment_id = f"{id}-{version}"
    return [
        Part(model.model, id, model.ReserveTraining(experiment_id, version)),
        Part(experiment.experiment, experiment_id, opened),
    ]


async def _dataset(id: str, known: model.Known, load: Load) -> experiment.Dataset | Refusal:
    """With every column of the model that it lacks."""
    found = await load(dataset.dataset, id)
    if isinstance(found, dataset.Unknown):
        return Refusal("dataset_not_found", f"there is no dataset {id}")
    if found.discarded:
        return Refusal("dataset_discarded", f"the dataset {id} was discarded")
    types = {column.name: column.type for column in found.registered.columns}
    faults = [
        f"has no column {name!r}" for name in (*(f.name for f in known.features), known.target) if name not in types
    ]
    faults += [
        f"the column {feature.name!r} holds categories, not numbers"
        for feature in known.features
        if feature.type == "number" and types.get(feature.name) == "category"
    ]
    if faults:
        return Refusal("dataset_does_not_fit", f"the dataset {id}: {'; '.join(faults)}")
    return experiment.Dataset(id, found.registered.content, found.registered.samples)


async def _unsound_lineage(id: str, command: feature.Derive, load: Load) -> Refusal | None:
    """Every feature that is not there, or a way from the feature to itself."""
    unknown = [name for name in command.upstream if isinstance(await load(feature.feature, name), feature.Unknown)]
    if unknown:
        return _no_such_features(unknown)
    seen: set[str] = set()
    waiting = list(command.upstream)
    while waiting:
        name = waiting.pop()
        if name == id:
            return Refusal("lineage_circular", f"{id} is itself what some of these are made from")
        known = await load(feature.feature, name)
        if name not in seen and isinstance(known, feature.Known):
            waiting += known.upstream
        seen.add(name)
    return None


async def _wrong_values(command: entity.RecordFeatures, load: Load) -> Refusal | None:
    """Every name that is no feature; else every value that is not as its feature's definition says."""
    unknown: list[str] = []
    faults: list[str] = []
    for name, value in command.values.items():
        known = await load(feature.feature, name)
        if isinstance(known, feature.Unknown):
            unknown.append(name)
        else:
            found = value_faults(value, known.defined.data_type, known.defined.validation_rules)
            faults += [f"{name} {fault}" for fault in found]
    if unknown:
        return _no_such_features(unknown)
    return Refusal("values_invalid", "; ".join(faults)) if faults else None


def _no_such_features(names: Sequence[str]) -> Refusal:
    return Refusal("features_not_found", f"there is no feature {', '.join(names)}")


def _opened(
    request: deployment.Request, known_stack: stack.Known, known_environment: environment.Known
) -> deployment.Open | Refusal:
    release = known_stack.versions.get(request.version)
    if release is None:
        withdrawn = request.version in known_stack.withdrawn
        return Refusal(
            "version_withdrawn" if withdrawn else "version_not_found",
            f"version {request.version} of stack {request.stack_id} {'was withdrawn' if withdrawn else 'is unknown'}",
        )
    targets = _targets(request, known_environment)
    if isinstance(targets, Refusal):
        return targets
    live = known_environment.placement(request.stack_id).live
    without_baseline = _without_baseline(request.strategy, live, targets)
    if without_baseline is not None:
        return without_baseline
    return deployment.Open(
        request.stack_id,
        request.environment_id,
        request.version,
        request.strategy,
        request.policy,
        msgspec.structs.replace(release, environment=_variables(request, release, known_stack, known_environment)),
        targets[0],
        live,
        targets[1:],
        request.instances,
        known_environment.targets.get(live.target) if live else None,
    )


def _variables(
    request: deployment.Request,
    release: stack.ReleaseSpec,
    known_stack: stack.Known,
    known_environment: environment.Known,
) -> stack.Configuration:
    """From the general to the particular."""
    models = {"MODELS": msgspec.json.encode(release.models, order="sorted").decode()} if release.models else {}
    return {
        **known_environment.configuration,
        **known_stack.configuration,
        **models,
        **release.environment,
        **request.configuration,
    }


def _targets(request: deployment.Request, known: environment.Known) -> tuple[environment.Target, ...] | Refusal:
    """In the order of the request; with every name that is wrong."""
    if request.target is not None and request.targets:
        return Refusal("target_not_chosen", "give either target or targets")
    names = request.targets or ((request.target,) if request.target is not None else ())
    if not names and len(known.targets) == 1:
        return tuple(known.targets.values())
    if not names:
        choice = ", ".join(sorted(known.targets)) or "none"
        return Refusal("target_not_chosen", f"name one of the environment's targets: {choice}")
    if len(set(names)) < len(names):
        return Refusal("target_not_chosen", "a target is named twice")
    missing = [name for name in names if name not in known.targets]
    if missing:
        return Refusal("target_not_found", f"the environment has no target {', '.join(missing)}")
    return tuple(known.targets[name] for name in names)


def _without_baseline(
    strategy: Strategy, live: environment.LiveRelease | None, targets: tuple[environment.Target, ...]
) -> Refusal | None:
    """What was recorded before releases were kept with what is live cannot be started a second time."""
    canary = declared(strategy)
    if not isinstance(canary, Canary) or canary.baseline != "equal" or live is None or live.release is not None:
        return None
    if live.target not in {target.name for target in targets}:
        return None
    return Refusal("baseline_unknown", 'how the live release is run is not on the record: use "baseline": "stable"')
