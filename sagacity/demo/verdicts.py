"""What the log says of a canary: every verdict, with the counts that it came from."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec

from domain import deployment
from domain.analysis import Analysis, Test, recompute
from domain.canary import Decision, Judged
from domain.strategy import Canary, declared


class Verdicts(NamedTuple):
    """All of a canary, with the policy that its request declared."""

    policy: Analysis | None
    judged: tuple[Judged, ...]

    @property
    def decision(self) -> Decision | None:
        return self.judged[-1].decision if self.judged else None

    @property
    def worst(self) -> Test | None:
        """The metric with the most evidence of harm in the end."""
        judgement = self.judged[-1].judgement if self.judged else None
        return judgement.worst if judgement else None

    def recomputed(self) -> bool:
        """Whether the counts that every verdict carries lead to the same verdict again, figure by figure."""
        policy = self.policy
        return bool(self.judged) and all(
            policy is not None
            and each.judgement is not None
            and each.judgement == recompute(each.judgement.tests, policy)
            for each in self.judged
        )


def verdicts_in(history: Iterable[dict[str, Any]]) -> Verdicts:
    """Of a deployment's events as the API shows them, from the first on."""
    first, *events = history
    strategy = declared(msgspec.convert(first["data"], deployment.Requested).strategy)
    judged = (msgspec.convert(event["data"], Judged) for event in events if event["type"] == "deployment.judged")
    return Verdicts(strategy.analysis if isinstance(strategy, Canary) else None, tuple(judged))


def slower(test: Test | None) -> str:
    """How many answers took longer than the threshold of a latency test, in words."""
    if test is None or test.slower_than is None:
        return "no answer was slower"
    canary = _percent(test.total.canary_bad, test.total.canary_requests)
    baseline = _percent(test.total.baseline_bad, test.total.baseline_requests)
    return f"{canary} of its answers took over {1000 * test.slower_than:.1f} ms, {baseline} of the baseline's"


def _percent(bad: int, requests: int) -> str:
    return f"{100 * bad / max(1, requests):.0f} %"
