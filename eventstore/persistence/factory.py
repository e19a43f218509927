"""The library's infrastructure factory for our log, configured by its environment.

- `SAGACITY_NATS_URL` (required): one URL or several, separated by commas.
- `SAGACITY_ES_NAMESPACE` (default `ES`): the streams are called `<namespace>_<application>_events`, `…_snapshots`
  and `…_tracking`.
- `SAGACITY_ES_REPLICAS` (default 1): copies of a stream created here, on a cluster.
- `SAGACITY_ES_TIMEOUT` (default 15): seconds until a connection or an insert is given up.
- `CREATE_TABLE` (default yes, the library's name): whether a stream that is missing is created.

As everywhere in the library each can be set for one application: `BANKACCOUNTS_SAGACITY_NATS_URL`.
"""

from __future__ import annotations

from typing import Final, TypeVar

from eventsourcing.persistence import (
    AggregateRecorder,
    ApplicationRecorder,
    InfrastructureFactory,
    ProcessRecorder,
    ProgrammingError,
    TrackingRecorder,
)
from eventsourcing.utils import Environment, EnvType, resolve_topic, strtobool

from eventstore.persistence.log import RecorderLog
from eventstore.persistence.loop import LoopThread
from eventstore.persistence.recorders import (
    JetStreamAggregateRecorder,
    JetStreamApplicationRecorder,
    JetStreamProcessRecorder,
    JetStreamTrackingRecorder,
)
from eventstore.persistence.session import Session
from eventstore.persistence.stored import token_of
from eventstore.streams import LogLocation

_T = TypeVar("_T")
_AnyFactory = InfrastructureFactory[TrackingRecorder]

_VIEWS_ELSEWHERE: Final = ("eventsourcing.postgres", "eventsourcing.sqlite", "eventsourcing.popo")


class JetStreamFactory(InfrastructureFactory[TrackingRecorder]):
    """Connects when the first recorder is made; closing it ends its recorders and subscriptions."""

    NATS_URL: Final = "SAGACITY_NATS_URL"
    NAMESPACE: Final = "SAGACITY_ES_NAMESPACE"
    REPLICAS: Final = "SAGACITY_ES_REPLICAS"
    TIMEOUT: Final = "SAGACITY_ES_TIMEOUT"
    CREATE_TABLE: Final = "CREATE_TABLE"

    def __init__(self, env: Environment | EnvType | None) -> None:
        """Raises OSError (the library's habit) naming every setting that is missing or wrong."""
        super().__init__(env)
        self._url = self.env.get(self.NATS_URL, "")
        self._replicas, self._timeout = self._checked()
        self._loop: LoopThread | None = None
        self._elsewhere: list[_AnyFactory] = []

    def aggregate_recorder(self, purpose: str = "events") -> AggregateRecorder:
        return JetStreamAggregateRecorder(*self._log(purpose))

    def application_recorder(self) -> ApplicationRecorder:
        chosen = self._named(self.APPLICATION_RECORDER_TOPIC, JetStreamApplicationRecorder)
        return (chosen or JetStreamApplicationRecorder)(*self._log("events"))

    def process_recorder(self) -> ProcessRecorder:
        chosen = self._named(self.PROCESS_RECORDER_TOPIC, JetStreamProcessRecorder)
        return (chosen or JetStreamProcessRecorder)(*self._log("events"))

    def tracking_recorder(self, tracking_recorder_class: type[TrackingRecorder] | None = None) -> TrackingRecorder:
        """A recorder of the given class, or of the one named by `TRACKING_RECORDER_TOPIC`, or ours.

        A class made for one of the library's own databases (a view in PostgreSQL, say) is built there, by that
        database's settings: a view and its tracking must change in one transaction.
        """
        chosen = tracking_recorder_class or self._named(self.TRACKING_RECORDER_TOPIC, TrackingRecorder)
        chosen = chosen or JetStreamTrackingRecorder
        if issubclass(chosen, JetStreamTrackingRecorder):
            return chosen(*self._log("tracking"))
        for base in chosen.__mro__:
            if base.__module__ in _VIEWS_ELSEWHERE:
                factory: _AnyFactory = resolve_topic(base.__module__).Factory(self.env)
                self._elsewhere.append(factory)
                return factory.tracking_recorder(chosen)
        raise ProgrammingError(
            f"{chosen.__qualname__} derives from no tracking recorder of {__package__}, {', '.join(_VIEWS_ELSEWHERE)}"
        )

    def close(self) -> None:
        if self._loop is not None:
            self._loop.close()
        for factory in self._elsewhere:
            factory.close()

    def _checked(self) -> tuple[int, float]:
        faults = [] if self._url else [f"{self.NATS_URL} is not set"]
        replicas = self.env.get(self.REPLICAS) or "1"
        if replicas not in ("1", "3", "5"):
            faults.append(f"{self.REPLICAS} must be 1, 3 or 5, not {replicas!r}")
        timeout = self.env.get(self.TIMEOUT) or "15"
        if not timeout.replace(".", "", 1).isdecimal() or not float(timeout):
            faults.append(f"{self.TIMEOUT} must be a number of seconds above 0, not {timeout!r}")
        if faults:
            raise OSError(f"event store settings of {self.env.name or 'the application'}: {'; '.join(faults)}")
        return int(replicas), float(timeout)

    def _log(self, purpose: str) -> tuple[LoopThread, RecorderLog]:
        if self._loop is None:
            self._loop = LoopThread(Session(self._url, self._timeout))
        name = self.env.name.lower() or "stored"
        stream = f"{self.env.get(self.NAMESPACE) or 'ES'}_{token_of(name)}_{purpose}"
        work = self._loop.session.log(
            LogLocation(stream, stream),
            self.env.name or name,
            create=strtobool(self.env.get(self.CREATE_TABLE) or "yes"),
            replicas=self._replicas,
        )
        return self._loop, self._loop.run(work)

    def _named(self, setting: str, kind: type[_T]) -> type[_T] | None:
        """The recorder class that a setting names. Raises ProgrammingError when it is of another kind."""
        topic = self.env.get(setting)
        if not topic:
            return None
        chosen: object = resolve_topic(topic)
        if not (isinstance(chosen, type) and issubclass(chosen, kind)):
            raise ProgrammingError(f"{setting} names {topic}, which is no {kind.__name__}")
        return chosen
