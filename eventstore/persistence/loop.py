"""The event loop behind the library's synchronous calls: one thread and one NATS connection a factory."""

from __future__ import annotations

import asyncio
import atexit
import sys
import weakref
from collections.abc import Coroutine
from concurrent.futures import CancelledError, Future
from threading import Lock, Thread
from typing import Any, Final, TypeVar

import msgspec
from eventsourcing.persistence import (
    DataError,
    IntegrityError,
    InterfaceError,
    InternalError,
    OperationalError,
    PersistenceError,
    ProgrammingError,
)
from nats.errors import Error as NatsError

from eventstore.errors import (
    EventStoreError,
    HistoryBroken,
    LogMisconfigured,
    LogMissing,
    LogUnavailable,
    UnknownEvent,
    WriteTooLarge,
    WrongVersion,
)
from eventstore.persistence.session import Session

_T = TypeVar("_T")
_CLOSING: Final = 5.0
"""Seconds a close waits for writes under way."""

_OURS: Final[dict[type[EventStoreError], type[PersistenceError]]] = {
    WrongVersion: IntegrityError,
    WriteTooLarge: DataError,
    UnknownEvent: DataError,
    LogUnavailable: OperationalError,
    LogMissing: ProgrammingError,
    LogMisconfigured: ProgrammingError,
    HistoryBroken: InternalError,
}


class LoopThread:
    """Runs coroutines for callers of other threads; closes when it is no longer used."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._lock = Lock()
        self._closed = False
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=_run, args=(self._loop,), name="eventstore.persistence", daemon=True)
        self._thread.start()
        _open.add(self)

    def submit(self, work: Coroutine[Any, Any, _T]) -> Future[_T]:
        """Raises InterfaceError when the loop is closed."""
        with self._lock:
            if self._closed:
                work.close()
                raise InterfaceError("the connection to the event store is closed")
            return asyncio.run_coroutine_threadsafe(work, self._loop)

    def run(self, work: Coroutine[Any, Any, _T]) -> _T:
        """The outcome of the work; its errors as the library's."""
        try:
            return self.submit(work).result()
        except CancelledError:
            raise InterfaceError("the connection to the event store was closed") from None
        except (EventStoreError, msgspec.DecodeError, UnicodeDecodeError, NatsError, OSError) as error:
            raise translated(error) from error

    def close(self) -> None:
        """Finish what is under way and disconnect; from any thread, at any time, more than once."""
        with self._lock:
            if self._closed or sys.is_finalizing():
                return
            self._closed = True
        loop = self._loop
        ended = asyncio.run_coroutine_threadsafe(self.session.close(), loop)
        ended.add_done_callback(lambda _: loop.call_soon_threadsafe(loop.stop))
        if not _in_event_loop():
            self._thread.join(_CLOSING)

    def __del__(self) -> None:
        self.close()


def translated(error: Exception) -> PersistenceError:
    if isinstance(error, EventStoreError):
        return _OURS[type(error)](str(error))
    if isinstance(error, (msgspec.DecodeError, UnicodeDecodeError)):
        return DataError(f"the log holds an event that this module did not write: {error}")
    return OperationalError(str(error) or type(error).__name__)


def _run(loop: asyncio.AbstractEventLoop) -> None:
    try:
        loop.run_forever()
    finally:
        loop.close()


def _in_event_loop() -> bool:
    """Garbage is collected in any thread, also in one that runs an event loop: that one must not wait."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


_open: weakref.WeakSet[LoopThread] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    for loop in list(_open):
        loop.close()
