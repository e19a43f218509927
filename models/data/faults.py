"""What is wrong with a table: everything at once, as far as one wants to read it."""

from __future__ import annotations

from typing import Final

MOST: Final = 100
"""Faults that are named; of the others only their number is."""


class TableInvalid(Exception):
    """The file is no table that can be used. `faults` says why, where possible with row and column."""

    def __init__(self, faults: tuple[str, ...]) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


class Faults:
    """Collected while a file is read."""

    def __init__(self) -> None:
        self._named: list[str] = []
        self._count = 0

    def __bool__(self) -> bool:
        return self._count > 0

    def add(self, fault: str, of: int = 1) -> None:
        """One fault, which stands for `of` of its kind."""
        self._count += of
        if len(self._named) < MOST:
            self._named.append(fault)

    def check(self) -> None:
        """Raises TableInvalid where there is any."""
        if self:
            raise self._raised()

    def stop(self, fault: str) -> TableInvalid:
        """To be raised where nothing behind this fault can be read: it is told first."""
        self._named.insert(0, fault)
        self._count += 1
        return self._raised()

    def _raised(self) -> TableInvalid:
        more = self._count - len(self._named)
        return TableInvalid((*self._named, f"and {more} more") if more else tuple(self._named))
