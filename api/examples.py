"""Examples of the API reference: data of every command, and a row of every read model. A test holds them to their
schemas."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from api import model_examples, record_examples, workflow_examples

_TIME: Final = "2026-11-21T06:37:29.154137Z"
_LATER: Final = "2026-11-21T06:37:29.946307Z"
_RELEASE: Final[dict[str, Any]] = {
    "program": "python3",
    "arguments": ["shop.py"],
    "environment": {},
    "health_path": "/health",
    "models": {"ranker": "2.1"},
}
_LIVE: Final = {
    "deployment_id": "shop-1",
    "version": "1.0",
    "target": "local",
    "instances": 1,
    "attempt": 1,
    "release": _RELEASE,
}

COMMANDS: Final[Mapping[str, dict[str, Any]]] = {
    "organization.register": {"name": "Acme"},
    "organization.describe": {"description": "makes everything"},
    "environment.register": {"name": "Production", "organization_id": "acme", "targets": [{"name": "local"}]},
    "environment.configure": {"configuration": {"TZ": "UTC"}},
    "environment.add_target": {"target": {"name": "second"}},
    "environment.remove_target": {"name": "second"},
    "stack.register": {"name": "Shop", "organization_id": "acme"},
    "stack.configure": {"configuration": {"LOG": "info"}},
    "stack.publish_version": {"version": "1.0", "release": {"program": "python3", "arguments": ["shop.py"]}},
    "stack.withdraw_version": {"version": "1.0", "reason": "leaks memory"},
    "deployment.request": {"stack_id": "shop", "environment_id": "production", "version": "1.0"},
    "deployment.cancel": {"reason": "changed my mind"},
    "deployment.approve": {"reason": "seen it"},
    "deployment.promote": {"reason": "an emergency"},
    "deployment.record_measurement": {
        "metric": "abandoned_carts",
        "canary": {"total": 300, "bad": 12},
        "baseline": {"total": 310, "bad": 9},
    },
    "saga.resume": {},
    "saga.waive_effect": {"key": "shop-1-start", "reason": "stopped by hand"},
    "projection.rebuild": {},
    "inbound.retry": {},
    **model_examples.COMMANDS,
    **record_examples.COMMANDS,
    **workflow_examples.COMMANDS,
}
"""Command type → its data."""

ROWS: Final[Mapping[str, dict[str, Any]]] = {
    "organizations": {
        "id": "acme",
        "name": "Acme",
        "description": "",
        "settings": {},
        "created_at": _TIME,
        "updated_at": _TIME,
        "version": 1,
        "position": 1,
    },
    "environments": {
        "id": "production",
        "name": "Production",
        "organization_id": "acme",
        "environment_type": "production",
        "configuration": {"TZ": "UTC"},
        "targets": [{"name": "local", "kind": "process", "settings": {}}],
        "placements": {"shop": {"live": _LIVE, "rollout": None}},
        "circuits": {"local": {"failures": 5, "open_until": _LATER}},
        "created_at": _TIME,
        "updated_at": _LATER,
        "version": 3,
        "position": 62,
    },
    "stacks": {
        "id": "shop",
        "name": "Shop",
        "organization_id": "acme",
        "description": "",
        "configuration": {"LOG": "info"},
        "versions": [{"version": "1.0", "release": _RELEASE, "published_at": _TIME, "withdrawn": None}],
        "live": {"production": _LIVE},
        "created_at": _TIME,
        "updated_at": _LATER,
        "version": 2,
        "position": 62,
    },
    "deployments": {
        "id": "shop-1",
        "status": "running",
        "stack_id": "shop",
        "environment_id": "production",
        "version": "1.0",
        "target": "local",
        "strategy": "canary",
        "strategy_declared": {"kind": "canary", "steps": [{"weight": 5}, {"weight": 50}]},
        "instances": 1,
        "attempt": 1,
        "targets": ["local"],
        "weights": {"canary": 5, "stable": 90, "baseline": 5},
        "traffic": {
            "canary": {"requests": 60, "errors": 1, "incidents": 1, "patterns": {"500 GET /products": 1}},
            "baseline": {"requests": 60, "errors": 0, "incidents": 0, "patterns": {}},
        },
        "verdict": {
            "number": 3,
            "step": "canary-1",
            "decision": "continue",
            "reason": "5 % until 40 more requests",
            "at": _LATER,
            "policy_version": "conditional-binomial/1 0f3a5c7e9b1d",
            "log_e_worse": 0.21,
            "log_e_harmless": 0.94,
            "needs": 1240,
        },
        "previous_version": "0.9",
        "step": "canary-1",
        "steps": [
            {
                "name": "start",
                "state": "completed",
                "started_at": _TIME,
                "ended_at": _LATER,
                "detail": "version 1.0 started",
            },
            {"name": "health", "state": "running", "started_at": _LATER, "ended_at": None, "detail": ""},
        ],
        "healthy": None,
        "url": None,
        "reason": None,
        "cancelled": False,
        "configuration": {"LOG": "info"},
        "release": _RELEASE,
        "requested_by": "ann",
        "requested_at": _TIME,
        "started_at": _TIME,
        "completed_at": None,
        "duration_seconds": None,
        "correlation_id": "c-5",
        "stream_version": 8,
        "position": 37,
    },
    "sagas": {
        "id": "deployment-shop-1",
        "kind": "deployment",
        "subject": "deployment/shop-1",
        "status": "paused",
        "step": "health",
        "completed_steps": ["validate", "allocate", "start"],
        "attempts": 6,
        "attempt": 1,
        "delivered": False,
        "effects": [
            {
                "key": "shop-1-start",
                "step": "start",
                "operation": "start",
                "undo": "stop",
                "status": "kept",
                "result": "version 1.0 started",
                "attempt": 1,
            }
        ],
        "open_effects": 0,
        "compensating": False,
        "reason": "the target gave no answer",
        "started_at": _TIME,
        "ended_at": None,
        "correlation_id": "c-5",
        "version": 12,
        "position": 48,
    },
    "commands": {
        "id": "c-1",
        "type": "organization.register",
        "outcome": "accepted",
        "refusal": None,
        "reason": None,
        "actor": "ann",
        "stream": "organization/acme",
        "version": 1,
        "events": [{"type": "organization.registered", "stream": "organization/acme", "version": 1}],
        "time": _TIME,
        "correlation_id": "c-1",
        "causation_id": None,
        "position": 2,
    },
    **model_examples.ROWS,
    **record_examples.ROWS,
    **workflow_examples.ROWS,
}
"""Read model → a row of its main table."""

ANSWER: Final[dict[str, Any]] = {
    "command_id": "c-1",
    "outcome": "accepted",
    "stream": {"category": "organization", "id": "acme"},
    "version": 1,
    "position": 2,
    "events": [{"type": "organization.registered", "stream": "organization/acme", "version": 1, "position": 1}],
    "_links": {
        "self": "/api/v1/commands/c-1",
        "resource": "/api/v1/organizations/acme",
        "events": "/api/v1/organizations/acme/events",
    },
}
REFUSED: Final[dict[str, Any]] = {
    "type": "/problems/version-not-found",
    "title": "Refused",
    "status": 409,
    "detail": "version 9.9 of stack shop is unknown",
    "instance": "/api/v1/commands",
    "command_id": "c-2",
    "position": 3,
    "refusal": "version_not_found",
    "stream": "deployment/shop-1",
}
EVENT: Final[dict[str, Any]] = {
    "position": 1,
    "specversion": "1.0",
    "id": "01a1fcd3-00c2-73f4-89af-89efb3cc9989",
    "source": "/sagacity",
    "type": "organization.registered",
    "time": _TIME,
    "datacontenttype": "application/json",
    "stream": "organization/acme",
    "streamversion": 1,
    "correlationid": "c-1",
    "actor": "ann",
    "causationid": "c-1",
    "data": {"type": "organization.registered", "name": "Acme", "description": "", "settings": {}},
}
CLOUD_EVENT: Final[dict[str, Any]] = {
    "specversion": "1.0",
    "id": "1",
    "source": "/ci",
    "type": "build.finished",
    "data": {},
}
INBOUND: Final[dict[str, Any]] = {
    "id": "5c1d0a4e7b0f4a3d9d0e6a2f1b8c7d6e5f4a3b2c",
    "status": "parked",
    "since": _TIME,
    "position": 70,
    "subject": "in.ci.build",
    "reason": "/id: Field required",
    "document": '{"specversion": "1.0"}',
    "_links": {"self": "/api/v1/inbound/5c1d0a4e7b0f4a3d9d0e6a2f1b8c7d6e5f4a3b2c"},
    "_actions": {},
}
LINE: Final[dict[str, Any]] = {"number": 1, "time": _TIME, "stream": "stdout", "text": "listening"}
TOLD: Final[dict[str, Any]] = {
    "id": "shop-1/1",
    "deployment_id": "shop-1",
    "version": 1,
    "position": 11,
    "time": _TIME,
    "type": "deployment.requested",
    "summary": "version 1.0 of shop is to run in production",
    "actor": "ann",
}
STATUS: Final[dict[str, Any]] = {
    "name": "stacks",
    "state": "live",
    "position": 63,
    "head": 63,
    "lag_events": 0,
    "lag_seconds": 0.0,
    "reason": None,
    "updated_at": _TIME,
    "rebuild_position": None,
    "rebuild_head": None,
    "rebuild_report": None,
}
HEALTH: Final[dict[str, Any]] = {
    "status": "ok",
    "dependencies": {"log": {"verdict": "ok", "detail": "last position 63"}},
}
