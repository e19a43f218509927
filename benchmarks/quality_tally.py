"""How right contenders are, counted."""

from __future__ import annotations

from collections.abc import Set

from benchmarks.quality_contenders import Answer
from benchmarks.quality_faults import Message


class Counts:
    """Of pairs of sets: what was rightly said, said, and to be said."""

    def __init__(self) -> None:
        self.right = self.said = self.true = 0

    def add(self, said: Set[object], true: Set[object]) -> None:
        self.right += len(said & true)
        self.said += len(said)
        self.true += len(true)

    @property
    def precision(self) -> float:
        return self.right / self.said if self.said else 1.0

    @property
    def recall(self) -> float:
        return self.right / self.true if self.true else 1.0

    def __str__(self) -> str:
        return f"{self.precision:.4f} / {self.recall:.4f}"


class Tally:
    """`missing`, `flags` and `asked` beside what the formula says; `lost` beside what is lost of the complete row, as
    far as it is known what applies; `open` counts the missing fields of which it is not. `off` is the greatest error of
    a share, None without shares; `gaps` are fields that are missing or wrong."""

    def __init__(self) -> None:
        self.messages = 0
        self.missing, self.lost, self.flags, self.asked = Counts(), Counts(), Counts(), Counts()
        self.not_applicable = self.gaps = self.open = 0
        self.off: float | None = None

    def add(self, answer: Answer, message: Message) -> None:
        expected = message.expected
        self.messages += 1
        self.missing.add(answer.missing, expected.missing)
        self.lost.add(answer.missing - message.open, message.lost - message.open)
        self.open += len(answer.missing & message.open)
        self.flags.add(answer.flags, message.flagged)
        self.asked.add(answer.asked, expected.root_gaps)
        self.not_applicable += len(answer.asked & expected.not_applicable)
        wrong = {path for kind, path in message.flagged if kind in ("wrong_type", "out_of_range", "contradictory")}
        self.gaps += len(expected.missing) + len(wrong)
        if answer.shares is not None:
            off = max(abs(one - other) for one, other in zip(answer.shares, expected[:3], strict=True))
            self.off = max(self.off or 0.0, off)
