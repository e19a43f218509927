"""All read models, by name; the name of each is that of its list in the API."""

from __future__ import annotations

from projections.commands import commands
from projections.deployments import deployments
from projections.environments import environments
from projections.organizations import organizations
from projections.projection import Projection
from projections.sagas import sagas
from projections.stacks import stacks

READ_MODELS: tuple[Projection, ...] = (organizations, environments, stacks, deployments, sagas, commands)
