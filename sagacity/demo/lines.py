"""What is printed of a deployment's events, a line each, in the markup of rich."""

from __future__ import annotations

import math
from textwrap import shorten
from typing import Any, Final

from rich.markup import escape

from domain.analysis import Judgement
from domain.canary import Judged
from domain.strategy import Canary

_METER: Final = 10
_BAD: Final = ("failed", "rollback", "rolled_back", "compensated", "unhealthy")
QUIET: Final = ("deployment.step_started", "deployment.health_reported")
"""What the line after it says again."""


def timeline_line(entry: dict[str, Any]) -> str:
    bad = any(word in entry["type"] for word in _BAD)
    good = entry["type"] == "deployment.completed"
    colour = "red" if bad else "green" if good else "default"
    summary = escape(shorten(entry["summary"], 100, placeholder=" …"))
    return f"[{colour}]{summary}[/{colour}]"


def verdict_line(judged: Judged, canary: Canary) -> str:
    """How far the evidence has come; a full meter decides."""
    judgement, policy = judged.judgement, canary.analysis
    if judgement is None or policy is None:
        return f"look {judged.number}: {escape(judged.reason)}"
    step = int(judged.step.rpartition("-")[2])
    weight = canary.steps[step - 1].weight
    requests, wrong = _seen(judgement)
    harm = meter(judgement.log_e_worse, policy.budget, "red")
    harmless = meter(judgement.log_e_harmless, policy.mistakes, "green")
    return (
        f"look {judged.number:2}, step {step}, {weight} %: {requests:4} requests, {wrong:2} wrong"
        f"  harm {harm}  no harm {harmless}  {_outlook(judged, judgement)}"
    )


def odds(log_e: float) -> str:
    """The e-value as odds: 20:1 is what one would see by chance in one of twenty cases at most."""
    ratio = math.exp(min(abs(log_e), 30))
    number = f"{ratio:.0f}" if ratio < 10_000 else f"10^{math.log10(ratio):.0f}"
    return f"{number}:1" if log_e >= 0 else f"1:{number}"


def _seen(judgement: Judgement) -> tuple[int, int]:
    """Requests to the canary, and errors among them."""
    [seen] = [test.total for test in judgement.tests if test.metric == "errors"]
    return seen.canary_requests, seen.canary_bad


def meter(log_e: float, decides_at: float, colour: str) -> str:
    """Full only when it decides."""
    filled = math.floor(_METER * min(1.0, max(0.0, log_e / math.log(decides_at))))
    return f"[{colour}]{'█' * filled}[/{colour}][dim]{'░' * (_METER - filled)}[/dim] {odds(log_e):<6}"


def _outlook(judged: Judged, judgement: Judgement) -> str:
    match judged.decision:
        case "roll_back":
            return "[bold red]→ roll back[/bold red]"
        case "promote":
            return "[bold green]→ promote[/bold green]"
        case "advance":
            return "→ more traffic"
        case "continue" | "await_approval" | "inconclusive":
            return f"about {judgement.needs} requests more will tell" if judgement.needs else ""
