"""Three canaries under constant traffic: one is slower, one is wrong now and then, and one is fine.

Each is compared with its baseline, a fresh instance of the release that is live, and ends as the evidence says.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import msgspec

from domain.analysis import Analysis
from domain.strategy import Canary, CanaryStep
from sagacity.demo.stage import Stage, settled
from sagacity.demo.story import Claim
from sagacity.demo.verdicts import Verdicts, slower, verdicts_in

POLICY: Final = Analysis(negligible=0.01, latency_quantiles=(0.5, 0.9), interval=1.0)
STRATEGY: Final = Canary(
    steps=(CanaryStep(10, pause=3.0, requests=50), CanaryStep(25, requests=2000), CanaryStep(50, requests=2000)),
    analysis=POLICY,
    on_inconclusive="roll_back",
    patience=20.0,
)
LIVE: Final = "1.3"


class _Played(NamedTuple):
    """`requests` and how many of them `failed`, from the request for the deployment to its end."""

    outcome: dict[str, Any]
    verdicts: Verdicts
    requests: int
    failed: int


async def introduce(stage: Stage) -> None:
    weights = ", then ".join(f"{step.weight} %" for step in STRATEGY.steps)
    stage.tell(
        "Three more versions are published; each goes out as a canary, while customers look at all the products\n"
        f"A canary gets {weights} of the traffic. Once a second it is compared with its baseline, a fresh instance of"
        f" {LIVE} that gets as much.\n"
        f"harm {POLICY.budget}:1 means: one that is no worse shows this in at most 1 of {POLICY.budget} rollouts."
        " It is rolled back.\n"
        f"no harm {POLICY.mistakes}:1 means: one that is wrong or slow twice as often, and in"
        f" {100 * POLICY.negligible:g} % of answers at least, shows this in at most 1 of {POLICY.mistakes}."
        " It is promoted."
    )
    for version in ("1.4", "1.5", "1.6"):
        await stage.shop.publish(version)
    await stage.traffic.browse()


async def slow_canary(stage: Stage) -> list[Claim]:
    stage.tell("Canary 1.4 shows similar products, too, and finds them anew for every visitor: slower, but never wrong")
    played = await _play(stage, "1.4")
    worst, seen = played.verdicts.worst, stage.traffic.answered["1.4"]
    return [
        Claim(
            f"1.4 is rolled back, for latency: {slower(worst)}",
            played.outcome["status"] == "rolled_back" and worst is not None and worst.slower_than is not None,
        ),
        Claim(
            f"it answered {seen} of {played.requests} requests meanwhile, {played.failed} failed",
            not stage.traffic.failed,
        ),
        *await _afterwards(stage, played.verdicts, LIVE),
    ]


async def wrong_canary(stage: Stage) -> list[Claim]:
    stage.tell(
        "Canary 1.5 has discounts, and cannot compute one of fifty: 2 % of its answers are wrong, its health is good"
    )
    played = await _play(stage, "1.5")
    worst, wrong, right = played.verdicts.worst, stage.traffic.wrong["1.5"], stage.traffic.answered["1.5"]
    return [
        Claim(
            f"1.5 is rolled back, for errors: {wrong} of its {wrong + right} answers were wrong",
            played.outcome["status"] == "rolled_back" and worst is not None and worst.metric == "errors",
        ),
        Claim(
            f"they are all that failed: {played.failed} of {played.requests} requests meanwhile"
            f" ({100 * played.failed / max(1, played.requests):.1f} %)",
            0 < wrong == stage.traffic.failed,
        ),
        *await _afterwards(stage, played.verdicts, LIVE),
    ]


async def good_canary(stage: Stage) -> list[Claim]:
    stage.tell("Canary 1.6 has the same discounts, all of them right")
    played = await _play(stage, "1.6")
    skipped = [step["name"] for step in played.outcome["steps"] if step["state"] == "skipped"]
    return [
        Claim(
            f"1.6 is promoted by evidence; not needed any more: {', '.join(skipped) or 'nothing'}",
            played.outcome["status"] == "completed" and played.verdicts.decision == "promote" and bool(skipped),
        ),
        Claim(f"{played.requests} requests meanwhile, {played.failed} failed", not played.failed),
        *await _afterwards(stage, played.verdicts, "1.6"),
    ]


async def _play(stage: Stage, version: str) -> _Played:
    before = stage.traffic.total, stage.traffic.failed
    id = await stage.shop.deploy(version, strategy=msgspec.to_builtins(STRATEGY))
    outcome = await stage.watch(id)
    asked, failed = stage.traffic.total - before[0], stage.traffic.failed - before[1]
    return _Played(outcome, verdicts_in(await stage.shop.platform.history("deployment", id)), asked, failed)


async def _afterwards(stage: Stage, verdicts: Verdicts, live: str) -> list[Claim]:
    """The record can be checked, and the traffic is where the outcome says."""
    number = len(verdicts.judged)
    text = f"all {number} verdicts, recomputed from the counts in the log, are the same bit for bit"
    return [Claim(text, verdicts.recomputed()), await settled(stage, live)]
