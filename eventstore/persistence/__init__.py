"""Our event store as a persistence module of the `eventsourcing` library: `PERSISTENCE_MODULE=eventstore.persistence`.

Start at `factory.py` (settings), then `stored.py` (how an event stands in the log). The library finds the one
factory class in here; existing applications need no change.
"""

from eventstore.persistence.factory import JetStreamFactory
from eventstore.persistence.recorders import (
    JetStreamAggregateRecorder,
    JetStreamApplicationRecorder,
    JetStreamProcessRecorder,
    JetStreamTrackingRecorder,
)

__all__ = [
    "JetStreamAggregateRecorder",
    "JetStreamApplicationRecorder",
    "JetStreamFactory",
    "JetStreamProcessRecorder",
    "JetStreamTrackingRecorder",
]
