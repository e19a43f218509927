"""The resources of the read models, in one table: what each links to, and what can be done with it now."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from api import model_resources as about
from api import record_resources as of
from api import workflow_resources as work
from api.links import API, link, path_of
from domain.saga import OPEN
from eventstore.envelope import StreamId
from handlers.routes import Route

Row = Any


@dataclass(frozen=True)
class Resource:
    """`name` is the read model's and the path's; `actions` says which commands make sense for a row now."""

    name: str
    category: str
    actions: Callable[[Row], Mapping[str, tuple[str, dict[str, Any]]]]
    """Action → (command type, data to start from)."""
    links: Callable[[Row], Mapping[str, str]] = field(default=lambda _: {})


def _deployment_actions(row: Row) -> Mapping[str, tuple[str, dict[str, Any]]]:
    if row.status in ("requested", "running") and not row.cancelled:
        return {"cancel": ("deployment.cancel", {"reason": ""}), **_canary_actions(row)}
    again = {
        "stack_id": row.stack_id,
        "environment_id": row.environment_id,
        "targets": row.targets,
        "strategy": msgspec.to_builtins(row.strategy_declared),
        "instances": row.instances,
    }
    actions = {"deploy_again": ("deployment.request", {**again, "version": row.version})}
    if row.status == "completed" and row.previous_version is not None:
        actions["roll_back"] = ("deployment.request", {**again, "version": row.previous_version})
    return actions


def _canary_actions(row: Row) -> Mapping[str, tuple[str, dict[str, Any]]]:
    if not row.weights and row.step not in ("keep", "gate"):
        return {}
    promote = {"promote": ("deployment.promote", {"reason": ""})}
    if row.verdict is not None and row.verdict.decision == "await_approval":
        return {"approve": ("deployment.approve", {"reason": ""}), **promote}
    return promote


def _deployment_links(row: Row) -> Mapping[str, str]:
    path = path_of("deployment", row.id)
    links = {
        "stack": path_of("stack", row.stack_id),
        "environment": path_of("environment", row.environment_id),
        "saga": path_of("saga", f"deployment-{row.id}"),
        "timeline": f"{path}/timeline",
        "logs": f"{path}/logs",
        "conversation": link(f"{API}/events", correlation_id=row.correlation_id),
    }
    return {**links, "service": row.url} if row.url else links


def _saga_actions(row: Row) -> Mapping[str, tuple[str, dict[str, Any]]]:
    actions: dict[str, tuple[str, dict[str, Any]]] = {}
    if row.status == "paused":
        actions["resume"] = ("saga.resume", {})
    left = [each for each in row.effects if not each.closed]
    if row.delivered:
        left = [each for each in left if each.status in OPEN or each.attempt < row.attempt]
    waivable = row.ended_at is None if row.delivered else row.compensating and row.status == "paused"
    if left and waivable:
        actions["waive_effect"] = ("saga.waive_effect", {"key": left[-1].key, "reason": ""})
    return actions


RESOURCES: Final = (
    Resource(
        "organizations",
        "organization",
        lambda row: {"describe": ("organization.describe", {"description": row.description, "settings": row.settings})},
        lambda row: {
            "stacks": link(f"{API}/stacks", organization_id=row.id),
            "environments": link(f"{API}/environments", organization_id=row.id),
            "models": link(f"{API}/models", organization_id=row.id),
        },
    ),
    Resource(
        "environments",
        "environment",
        lambda row: {
            "configure": ("environment.configure", {"configuration": row.configuration}),
            "add_target": ("environment.add_target", {}),
            "remove_target": ("environment.remove_target", {}),
        },
        lambda row: {
            "organization": path_of("organization", row.organization_id),
            "deployments": link(f"{API}/deployments", environment_id=row.id),
        },
    ),
    Resource(
        "stacks",
        "stack",
        lambda row: {
            "publish_version": ("stack.publish_version", {}),
            "withdraw_version": ("stack.withdraw_version", {}),
            "configure": ("stack.configure", {"configuration": row.configuration}),
        },
        lambda row: {
            "organization": path_of("organization", row.organization_id),
            "deployments": link(f"{API}/deployments", stack_id=row.id),
        },
    ),
    Resource("deployments", "deployment", _deployment_actions, _deployment_links),
    Resource("models", "model", about.model_actions, about.model_links),
    Resource("experiments", "experiment", about.experiment_actions, about.experiment_links),
    Resource("datasets", "dataset", about.dataset_actions, about.dataset_links),
    Resource("monitors", "monitor", about.monitor_actions, about.monitor_links),
    Resource("features", "feature", about.feature_actions, about.feature_links),
    Resource("entities", "entity", about.entity_actions, about.entity_links),
    Resource("sources", "source", of.source_actions, of.source_links),
    Resource("record_schemas", "record_schema", of.schema_actions, of.schema_links),
    Resource("records", "record", of.record_actions, of.record_links),
    Resource("automations", "automation", of.automation_actions, of.automation_links),
    Resource("skills", "skill", work.skill_actions, work.skill_links),
    Resource("workflow_definitions", "workflow_definition", work.definition_actions, work.definition_links),
    Resource("workflows", "workflow", work.workflow_actions, work.workflow_links),
    Resource("sagas", "saga", _saga_actions, lambda row: {"subject": path_of(*StreamId.parse(row.subject))}),
)


def single(routes: Mapping[str, Route], resource: Resource, row: Row, *, past: bool) -> dict[str, Any]:
    """The row with what belongs to it; what is past can no longer be acted on."""
    path = path_of(resource.category, row.id)
    body: dict[str, Any] = msgspec.to_builtins(row)
    body["_links"] = {"self": path, "events": f"{path}/events", **resource.links(row)}
    body["_actions"] = {} if past else _actions(routes, resource, row)
    return body


def _actions(routes: Mapping[str, Route], resource: Resource, row: Row) -> dict[str, Any]:
    actions: dict[str, Any] = {}
    for action, (type, data) in resource.actions(row).items():
        body: dict[str, Any] = {"type": type, "data": data}
        if routes[type].decider.category == resource.category and type != "deployment.request":
            body["stream"] = {"category": resource.category, "id": row.id}
        actions[action] = {
            "href": f"{API}/commands",
            "method": "POST",
            "type": type,
            "body": body,
            "schema": routes[type].schema,
        }
    return actions
