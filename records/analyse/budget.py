"""What may be spent on a provider: a record, and a day (UTC). In this process; a restart begins the day anew unless it
is told what was spent."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import NamedTuple


class Price(NamedTuple):
    """Of a million tokens, in the currency of the settings."""

    prompt: float
    answer: float

    def of(self, prompt_tokens: int, answer_tokens: int) -> float:
        return round((self.prompt * prompt_tokens + self.answer * answer_tokens) / 1_000_000, 9)


class Budget:
    """Reserve before asking, settle afterwards: what is asked at the same time cannot overspend together."""

    def __init__(self, per_day: float, per_record: float, spent: Mapping[date, float] | None = None) -> None:
        self._per_day = per_day
        self._per_record = per_record
        self._spent = dict(spent or {})

    def spent(self, day: date) -> float:
        return self._spent.get(day, 0.0)

    def refusal(self, day: date, cost: float, of_record: float) -> str | None:
        """Why so much more is not spent, after `of_record` for the record; None: it is reserved now."""
        if of_record + cost > self._per_record:
            return f"over the budget of a record: {of_record + cost:.4f} of {self._per_record:g}"
        if self.spent(day) + cost > self._per_day:
            return f"over the budget of the day: {self.spent(day) + cost:.4f} of {self._per_day:g}"
        self._spent = {day: self.spent(day) + cost}
        return None

    def settle(self, day: date, reserved: float, cost: float) -> None:
        if day in self._spent:
            self._spent[day] = max(0.0, self._spent[day] - reserved + cost)
