"""Examples of the API reference for skills, definitions of workflows, runs and calls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_TIME: Final = "2026-11-21T06:37:29.154137Z"
_LATER: Final = "2026-11-21T06:37:29.946307Z"
_DEADLINE: Final = "2026-11-21T06:38:29.154137Z"
RUN: Final = "review-shop"

_SPECIFICATION: Final[dict[str, Any]] = {
    "version": "2",
    "description": "Reads a repository and says what is wrong with it",
    "input": {"type": "object", "required": ["path"], "properties": {"path": {"type": "string"}}},
    "output": {"type": "object"},
    "capabilities": ["code", "review"],
    "timeout": 120.0,
    "retry": {"attempts": 3},
    "fallback": "code_metrics",
    "cost": {"per_call": 0.01},
    "effects": False,
}
_DEFINITION: Final[dict[str, Any]] = {
    "description": "Reviews a repository and asks before it is shipped",
    "input": {"type": "object", "required": ["path"]},
    "steps": {
        "review": {"skill": "code_review", "input": {"path": "${input.path}"}, "retry": {"attempts": 2}},
        "agree": {
            "needs": ["review"],
            "approval": {"question": "${steps.review.output.findings} findings: ship?", "within": 86400.0},
        },
        "ship": {
            "needs": ["agree"],
            "skill": "deploy",
            "on_failure": "park",
            "compensate": {"skill": "roll_back"},
        },
    },
    "output": {"shipped": "${steps.ship.output.version}"},
}

COMMANDS: Final[Mapping[str, dict[str, Any]]] = {
    "skill.register": {"specification": _SPECIFICATION},
    "skill.retire": {"version": "1", "reason": "2 is better"},
    "skill.route": {"shares": {"1": 9, "2": 1}},
    "workflow_definition.publish": {"definition": _DEFINITION},
    "workflow_definition.withdraw": {"reason": "too risky"},
    "workflow.start": {"definition": "release", "input": {"path": "/srv/shop"}},
    "workflow.invoke": {"skill": "code_review", "input": {"path": "/srv/shop"}},
    "workflow.approve": {"step": "agree", "note": "looks good"},
    "workflow.reject": {"step": "agree", "note": "not on a Friday"},
    "workflow.cancel": {"reason": "changed my mind"},
    "workflow.retry": {"call": f"{RUN}-3"},
    "workflow.give_up": {"call": f"{RUN}-3", "reason": "shipped by hand"},
}

_VERSION: Final[dict[str, Any]] = {
    "specification": _SPECIFICATION,
    "share": 1.0,
    "retired": False,
    "open_until": None,
    "failures": 0,
    "reason": None,
    "registered_at": _TIME,
}
ROWS: Final[Mapping[str, dict[str, Any]]] = {
    "skills": {
        "id": "code_review",
        "status": "offered",
        "description": _SPECIFICATION["description"],
        "capabilities": ["code", "review"],
        "versions": {"2": _VERSION},
        "shares": {"2": 1},
        "created_at": _TIME,
        "updated_at": _LATER,
        "version": 2,
        "position": 140,
    },
    "workflow_definitions": {
        "id": "release",
        "status": "published",
        "description": _DEFINITION["description"],
        "latest": 1,
        "definition": _DEFINITION,
        "skills": ["code_review", "deploy", "roll_back"],
        "workflows": [],
        "reason": None,
        "created_at": _TIME,
        "updated_at": _TIME,
        "version": 1,
        "position": 143,
    },
    "workflows": {
        "id": RUN,
        "definition": "release",
        "definition_version": 1,
        "status": "waiting",
        "reason": None,
        "steps_total": 3,
        "steps_done": 1,
        "parked": 0,
        "undone": 0,
        "cost": 0.01,
        "budget": 5.0,
        "input": {"inline": {"path": "/srv/shop"}},
        "output": None,
        "steps": {
            "review": {
                "kind": "skill",
                "status": "succeeded",
                "calls": 1,
                "succeeded": 1,
                "cost": 0.01,
                "seconds": 3.2,
                "started_at": _TIME,
                "ended_at": _LATER,
            },
            "agree": {"kind": "approval", "status": "running", "started_at": _LATER, "until": _DEADLINE},
            "ship": {"kind": "skill"},
        },
        "waiting_for": [{"step": "agree", "question": "2 findings: ship?", "until": _DEADLINE}],
        "under_way": {},
        "parent": None,
        "parent_call": None,
        "cancelling": False,
        "actor": "ann",
        "correlation_id": "c-9",
        "until": None,
        "started_at": _TIME,
        "ended_at": None,
        "ended_in": None,
        "updated_at": _LATER,
        "version": 5,
        "position": 150,
    },
}

BELONGINGS: Final[Mapping[tuple[str, str], dict[str, Any]]] = {
    ("workflow_definitions", "versions"): {
        "id": "release/1",
        "definition_id": "release",
        "number": 1,
        "definition": _DEFINITION,
        "published_by": "ann",
        "published_at": _TIME,
        "position": 143,
    },
}

INVOCATION: Final[dict[str, Any]] = {
    "id": f"{RUN}-3",
    "run": RUN,
    "step": "ship",
    "item": None,
    "kind": "skill",
    "skill": "deploy",
    "skill_version": "1",
    "status": "parked",
    "attempt": 2,
    "worker": "host-1",
    "progress": None,
    "note": None,
    "input": {"inline": {"findings": 2}},
    "output": None,
    "failure": "error",
    "reason": "the target gives no answer",
    "cost": 0.0,
    "seconds": 8.4,
    "attempt_seconds": 4.1,
    "attempts": 2,
    "failures": 2,
    "timeouts": 0,
    "retried": 0,
    "requested_at": _TIME,
    "leased_at": _LATER,
    "deadline": _DEADLINE,
    "retry_at": None,
    "ended_at": None,
    "routed": {"weights": {"1": 1}, "rule": "the only version"},
    "undo": None,
    "undone_by": None,
    "instead_of": None,
    "fallback": None,
    "exchanges": [],
    "actor": "ann",
    "correlation_id": "c-9",
    "requested_in": 7,
    "ended_in": None,
    "position": 157,
}
RETRIED: Final[dict[str, Any]] = {
    "items": [{"run": RUN, "calls": [f"{RUN}-3"], "outcome": "accepted", "position": 160}],
    "left": False,
    "_links": {"parked": "/api/v1/invocations?status=parked"},
}
WORKER: Final[dict[str, Any]] = {
    "skill": "code_review",
    "version": "2",
    "worker": "host-1",
    "alive": True,
    "heard": _LATER,
    "seconds": 1.3,
    "started": _TIME,
    "running": 1,
    "done": 12,
    "failed": 0,
    "details": {"language": "python"},
}
FIGURES: Final[dict[str, Any]] = {
    "version": "2",
    "definition": "release",
    "step": "review",
    "day": "2026-11-21T00:00:00Z",
    "calls": 40,
    "succeeded": 38,
    "failed": 1,
    "parked": 1,
    "timed_out": 2,
    "retried": 3,
    "seconds": 131.5,
    "p50": 3.1,
    "p95": 4.7,
    "p99": 6.2,
    "cost": 0.4,
    "success_rate": 0.9744,
}
TOTAL: Final = {**FIGURES, "version": None, "definition": None, "step": None, "day": None}
_NODE: Final[dict[str, Any]] = {
    "when": "",
    "each": "",
    "compensate": None,
    "items": 0,
    "calls": 1,
    "succeeded": 1,
    "failed": 0,
    "undone": 0,
    "round": 1,
    "seconds": 3.2,
    "cost": 0.01,
    "reason": "",
}
GRAPH: Final[dict[str, Any]] = {
    "id": RUN,
    "definition": "release",
    "version": 1,
    "status": "waiting",
    "nodes": [
        {"id": "review", "kind": "skill", "status": "succeeded", "asks": ["code_review"], **_NODE},
        {"id": "agree", "kind": "approval", "status": "asked", "asks": [], **_NODE, "calls": 0, "succeeded": 0},
    ],
    "edges": [{"source": "review", "target": "agree", "kind": "needs", "label": ""}],
}
FLOWCHART: Final = """flowchart TD
    n0["review<br/>code#95;review<br/>succeeded · 3.2 s"]:::succeeded
    n1{"agree<br/>approval<br/>asked"}:::asked
    n0 --> n1
"""
EXECUTE: Final[dict[str, Any]] = {
    "goal": "review the code of my repository",
    "input": {"path": "/srv/shop"},
    "wait": 10,
}
EXECUTED: Final[dict[str, Any]] = {
    "run_id": "run-01a1fcd3-00c2-73f4-89af-89efb3cc9989",
    "status": "completed",
    "chosen": {
        "kind": "skill",
        "id": "code_review",
        "by": "goal",
        "score": 0.61,
        "candidates": [
            {"kind": "skill", "id": "code_review", "score": 0.61},
            {"kind": "skill", "id": "deploy", "score": 0.04},
        ],
    },
    "version": "2",
    "output": {"findings": 2},
    "output_size": 0,
    "reason": None,
    "cost": 0.01,
    "seconds": 3.4,
    "calls": 1,
    "position": 171,
    "duplicate": False,
    "_links": {"self": "/api/v1/workflows/run-01a1fcd3-00c2-73f4-89af-89efb3cc9989"},
}
