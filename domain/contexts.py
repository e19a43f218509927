"""All contexts of the business in one table: who decides, and which events the log may hold."""

from __future__ import annotations

from types import UnionType
from typing import Any

from domain import command
from domain.decider import Decider
from domain.deployment import deployment
from domain.environment import environment
from domain.inbound import inbound
from domain.organization import organization
from domain.projection import projection
from domain.saga import saga
from domain.stack import stack

DECIDERS: tuple[Decider[Any, Any, Any], ...] = (organization, environment, stack, deployment, saga, projection, inbound)

EVENTS: tuple[UnionType | type[Any], ...] = (*(decider.events for decider in DECIDERS), command.Event)
