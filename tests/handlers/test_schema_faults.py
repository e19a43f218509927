"""Given a request with faults inside one of several forms, then each fault is named where it stands."""

import json

import pytest

from domain.contexts import DECIDERS
from handlers.routes import routes_of

REQUEST = routes_of(DECIDERS)["deployment.request"]
RETRAIN = routes_of(DECIDERS)["model.retrain"]
LABEL = routes_of(DECIDERS)["monitor.record_labels"]


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
