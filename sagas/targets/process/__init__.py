"""Releases as processes of this machine. `host` is the program that runs them, `ProcessTarget` the way to it."""

from sagas.targets.process.client import ProcessTarget

__all__ = ["ProcessTarget"]
