"""All contexts of the business in one table: who decides, and which events the log may hold."""

from __future__ import annotations

from types import UnionType
from typing import Any

from domain import command
from domain.automation import automation
from domain.conversation import conversation
from domain.dataset import dataset
from domain.decider import Decider
from domain.deployment import deployment
from domain.entity import entity
from domain.environment import environment
from domain.experiment import experiment
from domain.feature import feature
from domain.fingerprint import fingerprint
from domain.inbound import inbound
from domain.model import model
from domain.monitor import monitor
from domain.organization import organization
from domain.projection import projection
from domain.record import record
from domain.record_schema import record_schema
from domain.saga import saga
from domain.skill import skill
from domain.source import source
from domain.stack import stack
from domain.wakeup import wakeup
from domain.workflow import workflow
from domain.workflow_definition import workflow_definition

DECIDERS: tuple[Decider[Any, Any, Any], ...] = (
    organization,
    environment,
    stack,
    deployment,
    model,
    experiment,
    dataset,
    monitor,
    feature,
    entity,
    source,
    record,
    record_schema,
    fingerprint,
    automation,
    conversation,
    skill,
    workflow_definition,
    workflow,
    wakeup,
    saga,
    projection,
    inbound,
)

EVENTS: tuple[UnionType | type[Any], ...] = (*(decider.events for decider in DECIDERS), command.Event)
