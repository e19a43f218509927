"""What models, their experiments, datasets and monitors, features and entities link to, and what can be done now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from api.feature_bodies import MAX_FEATURES
from api.links import API, link, path_of

Row = Any
Actions = Mapping[str, tuple[str, dict[str, Any]]]


def model_actions(row: Row) -> Actions:
    policy, pipeline = msgspec.to_builtins((row.policy, row.pipeline))
    actions: dict[str, tuple[str, dict[str, Any]]] = {
        "configure": ("model.configure", {"pipeline": pipeline, "policy": policy})
    }
    if row.training is None:
        actions["retrain"] = ("model.retrain", {"reason": ""})
        others = [version for version in row.accuracies if version != row.active_version]
        if others:
            actions["promote"] = ("model.promote", {"version": max(others, key=int), "reason": ""})
    if row.active_version is not None and row.previous_versions:
        actions["roll_back"] = ("model.roll_back", {"version": row.previous_versions[-1], "reason": ""})
    return actions


def model_links(row: Row) -> Mapping[str, str]:
    path = path_of("model", row.id)
    links = {
        "versions": f"{path}/versions",
        "metrics": f"{path}/metrics",
        "drift": f"{path}/drift",
        "experiments": link(f"{API}/experiments", model_id=row.id),
        "monitor": path_of("monitor", row.id),
    }
    if row.organization_id is not None:
        links["organization"] = path_of("organization", row.organization_id)
    if row.training is not None:
        links |= {"training": path_of("experiment", row.training), "saga": _saga(row.training)}
    return links


def experiment_actions(row: Row) -> Actions:
    open_ = row.status != "ended" and not row.cancelled
    return {"cancel": ("experiment.cancel", {"reason": ""})} if open_ else {}


def experiment_links(row: Row) -> Mapping[str, str]:
    links = {
        "model": path_of("model", row.model_id),
        "metrics": link(f"{path_of('model', row.model_id)}/metrics", version=row.model_version),
        "saga": _saga(row.id),
        "conversation": link(f"{API}/events", correlation_id=row.correlation_id),
    }
    return {**links, "dataset": path_of("dataset", row.dataset.dataset_id)} if row.dataset is not None else links


def dataset_actions(row: Row) -> Actions:
    return {} if row.discarded else {"discard": ("dataset.discard", {"reason": ""})}


def dataset_links(row: Row) -> Mapping[str, str]:
    return {"samples": f"{path_of('dataset', row.id)}/samples"}


def monitor_actions(row: Row) -> Actions:
    return {"record_labels": ("monitor.record_labels", {"labels": []})}


def monitor_links(row: Row) -> Mapping[str, str]:
    model = path_of("model", row.id)
    return {"model": model, "drift": f"{model}/drift", "metrics": link(f"{model}/metrics", environment="production")}


def feature_actions(row: Row) -> Actions:
    rules, freshness = msgspec.to_builtins((row.validation_rules, row.freshness_requirements))
    said = {"description": row.description, "freshness_requirements": freshness, "validation_rules": rules}
    return {
        "describe": ("feature.describe", said),
        "publish_version": ("feature.publish_version", {}),
        "derive": ("feature.derive", {"upstream": row.upstream}),
    }


def feature_links(row: Row) -> Mapping[str, str]:
    path = path_of("feature", row.id)
    return {"versions": f"{path}/versions", "upstream": f"{path}/upstream", "downstream": f"{path}/downstream"}


def entity_actions(row: Row) -> Actions:
    return {"record_features": ("entity.record_features", {"values": {}})}


def entity_links(row: Row) -> Mapping[str, str]:
    names = ",".join(sorted(row.features)[:MAX_FEATURES])
    return {"values": link(f"{API}/features/values", entity_id=row.id, features=names)}


def _saga(experiment_id: str) -> str:
    return path_of("saga", f"retraining-{experiment_id}")
