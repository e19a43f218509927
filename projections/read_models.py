"""All read models, by name; the name of each is that of its list in the API."""

from __future__ import annotations

from projections.automations import automations
from projections.commands import commands
from projections.data_quality import data_quality
from projections.datasets import datasets
from projections.deployments import deployments
from projections.entities import entities
from projections.environments import environments
from projections.experiments import experiments
from projections.features import features
from projections.models import models
from projections.monitors import monitors
from projections.organizations import organizations
from projections.projection import Projection
from projections.record_schemas import record_schemas
from projections.records import records
from projections.sagas import sagas
from projections.skills import skills
from projections.sources import sources
from projections.stacks import stacks
from projections.workflow_definitions import workflow_definitions
from projections.workflows import workflows

READ_MODELS: tuple[Projection, ...] = (
    organizations,
    environments,
    stacks,
    deployments,
    models,
    experiments,
    datasets,
    monitors,
    features,
    entities,
    sources,
    record_schemas,
    records,
    data_quality,
    automations,
    skills,
    workflow_definitions,
    workflows,
    sagas,
    commands,
)
