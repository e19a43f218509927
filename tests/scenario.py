"""Given / when / then for deciders, on plain data."""

from __future__ import annotations

from typing import Any

from domain.decider import Decider, Refusal


class Scenario:
    """`Scenario(decider).given(*events).when(command).then(*events)` or `.refused(name)`."""

    def __init__(self, decider: Decider[Any, Any, Any]) -> None:
        self._decider = decider
        self._state = decider.initial
        self._outcome: Any = None

    def given(self, *events: Any) -> Scenario:
        self._state = self._decider.fold(events, self._state)
        return self

    def when(self, command: Any) -> Scenario:
        self._outcome = self._decider.decide(command, self._state)
        return self

    def then(self, *events: Any) -> None:
        assert self._outcome == events

    def nothing_happens(self) -> None:
        assert self._outcome == ()

    def refused(self, name: str) -> None:
        assert isinstance(self._outcome, Refusal), f"not refused: {self._outcome}"
        assert self._outcome.name == name
        assert self._outcome.reason
