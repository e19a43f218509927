"""Given a request with faults inside one of several forms, then each fault is named where it stands."""

import json

import pytest

from domain.contexts import DECIDERS
from handlers.routes import routes_of

REQUEST = routes_of(DECIDERS)["deployment.request"]
RETRAIN = routes_of(DECIDERS)["model.retrain"]


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
