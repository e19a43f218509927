"""Starts again what was killed, as `sagacity up` would."""

import threading
from collections.abc import Callable


class Watchdog:
    """`restarts` counts how often it had to, while it was entered."""

    def __init__(self, is_dead: Callable[[], bool], restart: Callable[[], object]) -> None:
        self.restarts = 0
        self._is_dead, self._restart = is_dead, restart
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "Watchdog":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.02):
            if self._is_dead():
                self.restarts += 1
                self._restart()
