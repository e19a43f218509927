"""A skill in Python: a function of one input, with what it takes and gives read from its types.

@skill("word_count", version="1", capabilities=("text",))
def word_count(text: Text, context: Context) -> Count: ...
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Generic, Literal, Protocol, TypeVar, get_type_hints

import msgspec

from domain.circuit import CircuitPolicy
from domain.skill import Cost, Isolation, RetryPolicy, Scaling, Specification

Runs = Literal["async", "thread", "process", "isolated"]
"""async: in the event loop; thread: beside it; process: one of a pool, for work of the processor; isolated: one of its
own for each call, within the limits of its specification."""

I = TypeVar("I")  # noqa: E741
O = TypeVar("O")  # noqa: E741
_ATTRIBUTE: Final = "__skill__"


class User(msgspec.Struct, frozen=True):
    """The user context: what the user's skills share in a run, apart from the input. A skill cannot change it."""

    values: dict[str, Any] = {}


class System(msgspec.Struct, frozen=True):
    """The system context: which call of which run this is. `call` is the key under which an effect is to be had once,
    however often the skill is asked; `deadline`: nobody waits for the answer after that."""

    run: str
    call: str
    step: str
    attempt: int
    deadline: datetime
    correlation_id: str
    traceparent: str | None = None
    item: int = -1


class Security(msgspec.Struct, frozen=True):
    """The security context: for whom it is done, and what may be used for it (None: whatever the skill may)."""

    actor: str
    tenant: str | None = None
    skills: tuple[str, ...] | None = None
    network: bool | None = None
    read: tuple[str, ...] | None = None
    write: tuple[str, ...] | None = None


class Places(msgspec.Struct, frozen=True):
    """What whoever runs a skill lets it read, whatever the security context of a call grants: nothing outside the
    directories `allowed`, and nothing within those `kept`."""

    allowed: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()


class Progress(Protocol):
    """`fraction` of the work, 0 to 1. It may be told often: what is passed on is limited."""

    def __call__(self, fraction: float, note: str = "") -> None: ...


@dataclass(frozen=True)
class Context:
    """The three contexts, kept apart. `spend` adds to the cost of the call; `exchanged` puts the hash of what was asked
    of a language model, or answered by it, on the record of the call. `places` (None: no bounds) are not of the call,
    but of the process that does it."""

    user: User
    system: System
    security: Security
    progress: Progress
    costs: list[float] = field(default_factory=list[float])
    exchanges: list[str] = field(default_factory=list[str])
    places: Places | None = None

    def spend(self, cost: float) -> None:
        self.costs.append(cost)

    def exchanged(self, *hashes: str) -> None:
        self.exchanges.extend(hashes)


class SkillFailed(Exception):
    """Raised by a skill: it cannot be done. `retryable`: another attempt may succeed."""

    def __init__(self, reason: str, *, retryable: bool = True) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retryable = retryable


@dataclass(frozen=True)
class Skill(Generic[I, O]):
    """What a worker needs of a skill. `function` takes the input and a Context."""

    name: str
    specification: Specification
    runs: Runs
    function: Callable[[I, Context], O | Awaitable[O]]
    takes: type[I]
    gives: type[O]

    def read(self, given: Any) -> I:
        """The typed input. Raises msgspec.ValidationError."""
        return msgspec.convert(given, self.takes)

    def written(self, result: O) -> Any:
        """The output as JSON has it."""
        return msgspec.to_builtins(result, str_keys=True)


def skill(
    name: str,
    *,
    version: str = "1",
    description: str = "",
    capabilities: tuple[str, ...] = (),
    runs: Runs | None = None,
    scaling: Scaling = "horizontal",
    schedule: str = "",
    timeout: float = 60.0,
    queue_timeout: float = 86_400.0,
    lease: float = 30.0,
    retry: RetryPolicy = RetryPolicy(),
    circuit: CircuitPolicy = CircuitPolicy(),
    fallback: str | None = None,
    isolation: Isolation | None = None,
    cost: Cost = Cost(),
    effects: bool = True,
    requires: tuple[str, ...] = (),
) -> Callable[[Callable[[I, Context], O | Awaitable[O]]], Callable[[I, Context], O | Awaitable[O]]]:
    """Marks a function as a skill; what is not given here is read from it: the schemas from its types, the description
    from its docstring, how it runs from whether it is a coroutine function. Raises TypeError for a function that does
    not have two parameters with types and a type of its result, msgspec.ValidationError for what is out of bounds."""

    def mark(function: Callable[[I, Context], O | Awaitable[O]]) -> Callable[[I, Context], O | Awaitable[O]]:
        takes, gives = _types(function)
        how: Runs = "isolated" if isolation else "async" if inspect.iscoroutinefunction(function) else "thread"
        specification = Specification(
            version=version,
            description=description or inspect.cleandoc(function.__doc__ or ""),
            input=msgspec.json.schema(takes),
            output=msgspec.json.schema(gives),
            capabilities=capabilities,
            scaling=scaling,
            schedule=schedule,
            timeout=timeout,
            queue_timeout=queue_timeout,
            lease=lease,
            retry=retry,
            circuit=circuit,
            fallback=fallback,
            isolation=isolation,
            cost=cost,
            effects=effects,
            requires=requires,
        )
        msgspec.convert(msgspec.to_builtins(specification), Specification)
        setattr(function, _ATTRIBUTE, Skill(name, specification, runs or how, function, takes, gives))
        return function

    return mark


def skill_of(function: Callable[..., Any]) -> Skill[Any, Any]:
    """Raises AttributeError for a function that is not marked."""
    return getattr(function, _ATTRIBUTE)


def skills_of(module: object) -> tuple[Skill[Any, Any], ...]:
    """All that are marked in a module."""
    found: Mapping[str, Any] = vars(module)
    return tuple(getattr(each, _ATTRIBUTE) for each in found.values() if hasattr(each, _ATTRIBUTE))


def _types(function: Callable[..., Any]) -> tuple[Any, Any]:
    hints = get_type_hints(function)
    gives = hints.pop("return", None)
    parameters = [hints.get(name) for name in inspect.signature(function).parameters]
    if len(parameters) != 2 or None in parameters or gives is None:
        raise TypeError(f"{function.__qualname__} must take an input and a context, both with types, and give one")
    return parameters[0], gives
