"""A dataset: rows with a label, by reference, with their counts and statistics. It says the same for ever."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct, structs

from domain.decider import ID, Decider, Refusal
from domain.pipeline import ColumnName, ColumnType, Parameter, Sha256

Id = Annotated[str, Meta(pattern=ID)]
Name = Annotated[str, Meta(min_length=1, max_length=120)]
Reason = Annotated[str, Meta(max_length=1000)]
Source = Literal["upload", "generated", "assembled"]


class Column(Struct, frozen=True):
    """`missing` and `distinct` values. Of numbers: mean, standard deviation and the deciles from least to greatest
    (11 values); of categories: the counts of the most common ones, at most 20."""

    name: ColumnName
    type: ColumnType
    missing: int
    distinct: int
    mean: float | None = None
    deviation: float | None = None
    deciles: tuple[float, ...] = ()
    counts: dict[str, int] = {}


class Register(Struct, frozen=True, forbid_unknown_fields=True, tag="dataset.register"):
    """The rows are stored already: `content` is the SHA-256 of a Parquet file of `size` bytes. `quality_score` is
    the share of cells that are there; `metadata` says how it was made."""

    name: Name
    source: Source
    content: Sha256
    size: int
    samples: int
    target: ColumnName | None
    columns: tuple[Column, ...]
    quality_score: float
    metadata: dict[str, Parameter] = {}


class Discard(Struct, frozen=True, forbid_unknown_fields=True, tag="dataset.discard"):
    """No new training takes it; what was trained on it stays."""

    reason: Reason = ""


# Event tags are storage: never rename one that has been written.
class Registered(Struct, frozen=True, tag="dataset.registered"):
    name: str
    source: Source
    content: str
    size: int
    samples: int
    target: str | None
    columns: tuple[Column, ...]
    quality_score: float
    metadata: dict[str, Parameter]


class Discarded(Struct, frozen=True, tag="dataset.discarded"):
    reason: str


class Unknown(Struct, frozen=True, tag="unknown"):
    pass


class Known(Struct, frozen=True, tag="known"):
    registered: Registered
    discarded: bool = False


Command = Register | Discard
Event = Registered | Discarded
State = Unknown | Known


def decide(command: Command, state: State) -> tuple[Event, ...] | Refusal:
    match command, state:
        case Register(), Unknown():
            return (Registered(*structs.astuple(command)),)
        case Register(content=content), Known(registered):
            if registered.content == content:
                return ()
            return Refusal("dataset_already_registered", "this id belongs to other rows: give them an id of their own")
        case Discard(), Unknown():
            return Refusal("dataset_not_found", "there is no such dataset")
        case Discard(reason), Known():
            return () if state.discarded else (Discarded(reason),)


def evolve(state: State, event: Event) -> State:
    match event, state:
        case Registered(), _:
            return Known(event)
        case Discarded(), Known():
            return structs.replace(state, discarded=True)
        case Discarded(), Unknown():
            return state


dataset: Decider[Command, State, Event] = Decider(
    "dataset", Command, Event, State, Unknown(), decide, evolve, internal=(Register,), opening=(Register,)
)
