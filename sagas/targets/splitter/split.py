"""Which arm a request goes to; pure but for the turns that are counted."""

from __future__ import annotations

from collections.abc import Collection
from hashlib import blake2b
from typing import Final

from sagas.targets.splitter.port import Arm

_HASH_BITS: Final = 64


class Split:
    """Of the arms with a weight above 0, in their order.

    Turns are given by smooth weighted round robin (nginx, commit 52327e0627f4): of every `sum of weights` requests
    each arm gets exactly as many as its weight, spread as evenly as can be.
    """

    def __init__(self, arms: Collection[Arm]) -> None:
        self._arms = tuple(arm for arm in arms if arm.weight > 0)
        self._turns = dict.fromkeys((arm.key for arm in self._arms), 0)

    def next(self, without: Collection[str] = ()) -> Arm | None:
        """The arm whose turn it is; None when there is none but those in `without` (keys)."""
        arms = self._but(without)
        if len(arms) < 2:
            return arms[0] if arms else None
        turns = self._turns
        for arm in arms:
            turns[arm.key] += arm.weight
        chosen = max(arms, key=lambda arm: turns[arm.key])
        turns[chosen.key] -= sum(arm.weight for arm in arms)
        return chosen

    def of(self, value: str, without: Collection[str] = ()) -> Arm | None:
        """The arm of a sticky value: always the same while the split stands.

        Arms lie one after the other between 0 and 1, each as long as its share, and a value lies where its hash
        says. So what is on the first arm stays there while it grows, and what is on the last one likewise.
        """
        arms = self._but(without)
        digest = blake2b(value.encode(errors="surrogateescape"), digest_size=_HASH_BITS // 8).digest()
        place = int.from_bytes(digest) * sum(arm.weight for arm in arms) >> _HASH_BITS
        for arm in arms:
            place -= arm.weight
            if place < 0:
                return arm
        return None

    def _but(self, without: Collection[str]) -> tuple[Arm, ...]:
        return tuple(arm for arm in self._arms if arm.key not in without) if without else self._arms
