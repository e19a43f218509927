"""How a release takes over: all at once, batch by batch, beside the old one for a while, or by growing evidence.

Each strategy is declared in the request and validated whole before anything starts. It says which steps a rollout
has; what each step does to the outside world is told by the saga.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from domain import analysis
from domain.analysis import Analysis

Seconds = Annotated[float, Meta(gt=0, le=86_400)]
Days30 = Annotated[float, Meta(ge=0, le=2_592_000)]
HeaderName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}$")]
Percent = Annotated[int, Meta(ge=1, le=100)]

StepKind = Literal["validate", "allocate", "start", "health", "baseline", "canary", "switch", "keep", "retire"]
PLAIN: Final = ("validate", "allocate", "start", "health", "switch", "retire")
_NUMBER: Final = re.compile(r"-[0-9]+$")


class SwitchOver(Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="switch_over"):
    """The new release is started beside the old one and takes all traffic at once when it is healthy."""


class RollingUpdate(Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="rolling"):
    """`batch` instances at a time: started, healthy, in traffic; then as many of the old ones are retired."""

    batch: Annotated[int, Meta(ge=1, le=50)] = 1


class BlueGreen(Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="blue_green"):
    """All traffic moves at once; the old release is kept running for `keep` seconds, so that to cancel the deployment
    moves it back at once. Meanwhile the new one's health is watched, and it is moved back when that fails."""

    keep: Seconds = 300.0


class CanaryStep(Struct, frozen=True, forbid_unknown_fields=True):
    """`weight` percent of the traffic for at least `pause` seconds and `requests` requests to the canary.

    With a `gate`, a person then approves before it goes on.
    """

    weight: Percent
    pause: Days30 = 0.0
    requests: Annotated[int, Meta(ge=0, le=1_000_000_000)] = 100
    gate: bool = False


class Canary(Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="canary"):
    """A growing share of the traffic, compared all the time with a `baseline`.

    `equal`: a fresh instance of the old release with the same weight; `stable`: all the rest of the traffic.
    When the last step is over and the evidence still decides nothing, the canary goes on at its last weight for
    `patience` seconds; then a person is asked, or it is rolled back.
    """

    steps: Annotated[tuple[CanaryStep, ...], Meta(min_length=1, max_length=20)] = (
        CanaryStep(5),
        CanaryStep(25),
        CanaryStep(50),
    )
    analysis: Analysis | None = Analysis()
    baseline: Literal["equal", "stable"] = "equal"
    sticky_header: HeaderName | None = None
    incident_header: HeaderName | None = None
    on_inconclusive: Literal["ask", "roll_back"] = "ask"
    patience: Days30 = 3600.0

    @property
    def interval(self) -> float:
        """Seconds between two looks."""
        return self.analysis.interval if self.analysis else Analysis().interval

    def share(self, step: int) -> float:
        """The canary's share of the requests that it is compared on, as its weights have it."""
        weight = self.steps[step].weight
        return 0.5 if self.baseline == "equal" else weight / 100


Declared = SwitchOver | RollingUpdate | BlueGreen | Canary
Strategy = Literal["switch_over", "rolling", "blue_green", "canary"] | Declared
"""The name alone stands for the strategy with its defaults."""


def declared(strategy: Strategy) -> Declared:
    match strategy:
        case "switch_over":
            return SwitchOver()
        case "rolling":
            return RollingUpdate()
        case "blue_green":
            return BlueGreen()
        case "canary":
            return Canary()
        case _:
            return strategy


def name_of(strategy: Strategy) -> str:
    return strategy if isinstance(strategy, str) else str(strategy.__struct_config__.tag)


def faults(strategy: Declared, instances: int) -> list[str]:
    """Everything that is wrong with a strategy as a whole."""
    match strategy:
        case SwitchOver() | BlueGreen():
            return []
        case RollingUpdate(batch):
            return [f"a batch of {batch} is more than {instances} instances"] if batch > instances else []
        case Canary():
            return [*_canary_faults(strategy), *(analysis.faults(strategy.analysis) if strategy.analysis else ())]


def _canary_faults(canary: Canary) -> Iterator[str]:
    weights = [step.weight for step in canary.steps]
    for number, (weight, following) in enumerate(pairwise(weights), 1):
        if following < weight:
            yield f"step {number + 1} has the weight {following}, less than the {weight} before it"
    if canary.baseline == "equal" and max(weights) > 50:
        yield f"the weight {max(weights)} leaves no room for an equal baseline: at most 50"
    if canary.baseline == "stable" and max(weights) == 100:
        yield "the weight 100 leaves nothing to compare with: at most 99"
    if canary.analysis is None and not canary.steps[-1].gate:
        yield "without analysis the last step needs a gate: nothing is promoted on no evidence"


def steps_of(strategy: Strategy, instances: int, replaces: bool, elsewhere: bool = False) -> tuple[str, ...]:
    """The steps of a rollout. A release is live where the new one is going (`replaces`), on another target
    (`elsewhere`), or nowhere.

    Where nothing is live there is nothing to compare with and nothing to keep: then everything is a switch. A canary
    that was asked for while a release is live elsewhere waits at a `gate` for a person, as there is no evidence.
    """
    match declared(strategy):
        case RollingUpdate(batch):
            return _rolling_steps(instances, batch)
        case BlueGreen() if replaces:
            return (*PLAIN[:5], "keep", "keep-health", "retire")
        case Canary() as canary if replaces:
            baseline = ("baseline", "baseline-health") if canary.baseline == "equal" else ()
            looks = (f"canary-{number}" for number in range(1, len(canary.steps) + 1))
            return (*PLAIN[:4], *baseline, *looks, "switch", "retire")
        case Canary() if elsewhere:
            return (*PLAIN[:4], "gate", *PLAIN[4:])
        case SwitchOver() | BlueGreen() | Canary():
            return PLAIN


def _rolling_steps(instances: int, batch: int) -> tuple[str, ...]:
    batches = range(1, -(-instances // batch) + 1)
    return (
        "validate",
        *(f"{kind}-{n}" for n in batches for kind in ("allocate", "start", "health", "switch", "retire")),
    )


def kind_of(step: str) -> str:
    """`start-2` is a `start`."""
    return _NUMBER.sub("", step)
