"""A JSON transcoder that loses no types: `TRANSCODER_TOPIC=eventstore.persistence.transcoder:LosslessJSONTranscoder`.

The library's default writes tuples as lists and subclasses of str, int, dict and list as their base; what is read
back then differs from what was saved. Here a tuple comes back as a tuple, and a subclass needs its transcoding, as
any other type of the application does. Not the default: existing applications keep their stored form.
"""

from __future__ import annotations

from typing import Any, Final, cast

from eventsourcing.persistence import JSONTranscoder, Transcoding

_PLAIN: Final = frozenset({str, int, float, bool, type(None)})


class TupleAsList(Transcoding):
    type = tuple
    name = "tuple_as_list"

    def encode(self, obj: tuple[Any, ...]) -> list[Any]:
        return list(obj)

    def decode(self, data: list[Any]) -> tuple[Any, ...]:
        return tuple(data)


class LosslessJSONTranscoder(JSONTranscoder):
    """Raises TypeError for a type that is not plain JSON and has no transcoding."""

    def __init__(self) -> None:
        super().__init__()
        self.register(TupleAsList())

    def encode(self, obj: Any) -> bytes:
        return super().encode(self._marked(obj))

    def _marked(self, obj: Any) -> Any:
        kind = cast("type[Any]", type(obj))
        if kind in _PLAIN:
            return obj
        if kind is dict:
            return {key: self._marked(value) for key, value in obj.items()}
        if kind is list:
            return [self._marked(value) for value in obj]
        marked = self._encode_obj(obj)
        return marked | {"_data_": self._marked(marked["_data_"])}
