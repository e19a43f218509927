"""The host's state on disk: one JSON file, replaced as a whole, on the disk before anybody acts on it."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import msgspec

from sagas.targets.port import TargetUnavailable
from sagas.targets.process.ledger import Change, HostState, prune


class StateBroken(Exception):
    """The state file cannot be read; starting without it would lose track of what was done."""


class StateFile:
    """Holds the state as it is on disk: `state` never shows a change that could still be lost."""

    def __init__(self, path: Path) -> None:
        """Reads the file; a missing one is a new host. Raises StateBroken."""
        self._path = path
        self._writing = asyncio.Lock()
        self.state = self._read()

    async def change(self, change: Change) -> HostState:
        """Apply and write. Raises what `change` raises, or TargetUnavailable when the disk does not take it."""
        # Shielded: a caller that goes away must not leave the file ahead of the state in memory.
        return await asyncio.shield(self._change(change))

    async def _change(self, change: Change) -> HostState:
        async with self._writing:
            changed = prune(change(self.state))
            if changed != self.state:
                try:
                    await asyncio.to_thread(self.replace, msgspec.json.encode(changed))
                except OSError as error:
                    raise TargetUnavailable(f"the process host cannot write {self._path}: {error}") from error
                self.state = changed
            return changed

    def replace(self, content: bytes) -> None:
        """Atomic and durable. Raises OSError."""
        temporary = self._path.with_suffix(".new")
        # Environments of releases may hold secrets: for the host's own user only.
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self._path)
        directory = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def _read(self) -> HostState:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=HostState)
        except FileNotFoundError:
            return HostState()
        except (msgspec.DecodeError, OSError) as error:
            raise StateBroken(f"{self._path} cannot be read: {error}") from error
