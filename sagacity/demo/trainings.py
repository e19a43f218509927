"""A training as it is told while it goes on, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from domain import experiment
from sagacity.cli.model_following import HowFar
from sagacity.cli.model_lines import experiment_line
from sagacity.demo.camera import Camera
from sagacity.demo.following import Show


class Training(NamedTuple):
    """How an experiment ended, and where in the log; accuracies are those on the rows held out."""

    outcome: experiment.Outcome
    trigger: str
    accuracy: float
    champion_accuracy: float
    held_out: int
    decision: str
    position: int


class ToldTraining:
    """Shows an experiment as it goes on, and sets the camera's pace, in regions a second: fast while rows are waited
    for, slow while the evidence is worth looking at."""

    _PACES: Final[dict[experiment.Step, float]] = {"assemble": 120.0, "shadow": 16.0, "watch": 150.0}
    _MEANWHILE: Final = 15.0

    def __init__(self, camera: Camera, show: Show) -> None:
        self.events: list[experiment.Event] = []
        self.position = 0
        self._camera = camera
        self._show = show

    def event(self, document: Mapping[str, Any], event: experiment.Event | None) -> None:
        self.position = document["position"]
        if event is not None:
            self.events.append(event)
            self._show(experiment_line(event), False)
        if isinstance(event, experiment.StepStarted):
            self._camera.rate = self._PACES.get(event.step, self._MEANWHILE)

    def evidence(self, line: str, far: HowFar) -> None:
        self._show(line, True)

    def waiting(self, line: str, far: HowFar | None = None) -> None:
        pass

    def training(self, outcome: experiment.Outcome) -> Training:
        [requested] = [event for event in self.events if isinstance(event, experiment.Requested)]
        [evaluated] = [event for event in self.events if isinstance(event, experiment.Evaluated)]
        [decided] = [event for event in self.events if isinstance(event, experiment.Decided)]
        champion = evaluated.champion.get("accuracy", 0.0)
        return Training(
            outcome,
            requested.trigger,
            evaluated.metrics["accuracy"],
            champion,
            evaluated.holdout.rows,
            decided.reason,
            self.position,
        )
