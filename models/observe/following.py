"""What a model's own stream says to whoever watches the model."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from domain import model
from eventstore.envelope import Recorded


class Moment(NamedTuple):
    """An event: its version in its stream, its position in the log, its time."""

    version: int
    position: int
    time: datetime


class Followed(NamedTuple):
    """`turn` is the event since which this version is watched in this way: it came into use, or people changed how it
    is to be watched. `comparing` is the one that began the comparison under way, `rested` the last one by which a
    training ended or another version came into use. `begun_by` are the ids of the commands that trainings were begun by
    since the version came into use."""

    state: model.State = model.Unknown()
    turn: Moment | None = None
    comparing: Moment | None = None
    rested: Moment | None = None
    begun_by: tuple[str, ...] = ()

    @property
    def known(self) -> model.Known | None:
        """None while no version is in use."""
        in_use = isinstance(self.state, model.Known) and self.state.active is not None
        return self.state if in_use and isinstance(self.state, model.Known) else None


def follow(seen: Followed, event: Recorded, data: model.Event) -> Followed:
    before, moment = seen.state, Moment(event.version, event.position, event.time)
    seen = seen._replace(state=model.evolve(before, data))
    match data:
        case model.Promoted() | model.RolledBack():
            return seen._replace(turn=moment, rested=moment, begun_by=())
        case model.TrainingReserved():
            return seen._replace(begun_by=(*seen.begun_by, event.envelope.causationid or ""))
        case model.Configured(policy=policy):
            changed = isinstance(before, model.Known) and policy.monitoring != before.policy.monitoring
            return seen._replace(turn=moment) if changed else seen
        case model.TrainingReleased():
            return seen._replace(rested=moment)
        case model.ComparisonStarted():
            return seen._replace(comparing=moment)
        case model.ComparisonEnded():
            return seen._replace(comparing=None)
        case model.Registered() | model.VersionAdded() | model.VersionDiscarded():
            return seen
