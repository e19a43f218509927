"""Everything that a request for predictions can meet with, beside a log that takes nothing.

NoPrediction
├── UnknownModel        there is no such model, or no such version of it
├── NoActiveVersion     no version of the model is in use
├── ModelNotChosen      the model was left out, and there is not just one to mean
├── VersionUnusable     the version's artifact is not there (any more), or is none
├── Unpredictable       the model finds no answer for these rows
└── Overloaded          too many wait already; nothing was done
"""

from __future__ import annotations


class NoPrediction(Exception):
    """Root of the tree above."""


class UnknownModel(NoPrediction):
    pass


class NoActiveVersion(NoPrediction):
    pass


class ModelNotChosen(NoPrediction):
    pass


class VersionUnusable(NoPrediction):
    pass


class Unpredictable(NoPrediction):
    pass


class Overloaded(NoPrediction):
    pass


class ArtifactRefused(Exception):
    """It was not made by `models.learn.artifacts.dump`, or not as it is now; nothing of it was made."""
