"""Somebody has said something to a run: whoever works on it is to look at it again.

One stream a run, written with what was said, so that the engine hears of people's commands, and of nothing that it
has written itself.
"""

from __future__ import annotations

from msgspec import Struct

from domain.decider import Decider


class Ask(Struct, frozen=True, tag="wakeup.ask"):
    pass


# Event tags are storage: never rename one that has been written.
class Asked(Struct, frozen=True, tag="wakeup.asked"):
    pass


class State(Struct, frozen=True, tag="wakeup"):
    pass


def decide(command: Ask, state: State) -> tuple[Asked, ...]:
    del command, state
    return (Asked(),)


def evolve(state: State, event: Asked) -> State:
    del event
    return state


wakeup: Decider[Ask, State, Asked] = Decider("wakeup", Ask, Asked, State, State(), decide, evolve, internal=(Ask,))
