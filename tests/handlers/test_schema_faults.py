"""Given a request with faults inside one of several forms, then each fault is named where it stands."""

import json

import pytest

from domain.contexts import DECIDERS
from handlers.routes import routes_of

REQUEST = routes_of(DECIDERS)["deployment.request"]
RETRAIN = routes_of(DECIDERS)["model.retrain"]
LABEL = routes_of(DECIDERS)["monitor.record_labels"]
RULE = routes_of(DECIDERS)["automation.register"]


@pytest.mark.parametrize(
    ("strategy", "places"),
    [
        ({"kind": "yolo"}, {"/data/strategy"}),
        ("yolo", {"/data/strategy"}),
        ({"kind": "canary", "steps": []}, {"/data/strategy/steps"}),
        (
            {"kind": "canary", "steps": [{"weight": 10, "pause": -1}, {"weight": 0, "x": 1}]},
            {"/data/strategy/steps/0/pause", "/data/strategy/steps/1/weight", "/data/strategy/steps/1"},
        ),
        (
            {"kind": "canary", "analysis": {"budget": 1, "interval": "soon"}},
            {"/data/strategy/analysis/budget", "/data/strategy/analysis/interval"},
        ),
    ],
)
def test_faults_in_a_strategy_are_named_by_their_fields(strategy, places):
    data = {"stack_id": "shop", "environment_id": "prod", "version": "1.0", "strategy": strategy}
    assert {fault.where for fault in REQUEST._faults(json.dumps(data).encode())} == places


@pytest.mark.parametrize("trigger", ["drift", "schedule", None])
def test_who_gives_a_command_is_neither_drift_nor_the_schedule(trigger):
    (fault,) = RETRAIN._faults(json.dumps({"trigger": trigger}).encode())
    assert (fault.where, fault.what) == ("/data/trigger", f"{trigger!r} is not one of ['command']")
    assert RETRAIN._faults(b'{"trigger": "command"}') == []


def test_a_limit_is_named_and_a_long_value_is_not():
    labels = [{"prediction": "b.0", "label": "x"}] * 10_001
    (fault,) = LABEL._faults(json.dumps({"labels": labels}).encode())
    assert (fault.where, fault.what) == ("/data/labels", "must have at most 10000 items, not 10001")


def test_the_rule_comes_before_the_beginning_of_a_long_value():
    (fault,) = LABEL._faults(json.dumps({"labels": "y" * 1_000}).encode())
    assert fault.what == f"is not of type 'array' (given: '{'y' * 59}…)"


def test_faults_of_forms_that_are_told_apart_by_their_type_are_named_all_at_once():
    """Whichever form comes first, those of the one that is meant."""
    trigger = {"type": "event", "types": ["x"], "wher": "y", "state": {"a": {"category": "X", "id": "i"}}}
    actions = [{"type": "invoke_skil", "skill": "s"}, {"type": "start_workflow"}, {"type": "send_alert", "text": "x"}]
    found = {
        fault.where: fault.what for fault in RULE._faults(json.dumps({"trigger": trigger, "actions": actions}).encode())
    }
    assert found == {
        "/data/trigger": "Additional properties are not allowed ('wher' was unexpected)",
        "/data/trigger/state/a/category": "'X' does not match '^[a-z][a-z0-9_]{0,49}$'",
        "/data/actions/0": "must be one of give_command, invoke_agent, invoke_skill, process_document, send_alert, "
        "start_workflow",
        "/data/actions/1": "'definition' is a required property",
        "/data/actions/2": "'apprise' is a required property",
    }
