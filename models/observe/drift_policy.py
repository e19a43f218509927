"""Another policy, by which recorded drift and comparisons are judged again."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Struct

from domain import monitor
from domain.gate import Odds
from domain.model_policy import Monitoring


class OtherOdds(Struct, frozen=True, forbid_unknown_fields=True):
    odds: Odds


class Policy(Struct, frozen=True, forbid_unknown_fields=True):
    """A part of a model's policy. What is left out is as it was recorded; of `monitoring`, each field."""

    monitoring: dict[str, Any] = {}
    gate: OtherOdds | None = None
    watch: OtherOdds | None = None

    def instead_of(self, recorded: Monitoring) -> Monitoring:
        """Raises msgspec.ValidationError."""
        return msgspec.convert({**msgspec.to_builtins(recorded), **self.monitoring}, Monitoring)

    def odds(self, recorded: monitor.Compared) -> float:
        other = self.gate if recorded.kind == "shadow" else self.watch
        return other.odds if other else recorded.judgement.odds


AS_RECORDED: Final = Policy()
