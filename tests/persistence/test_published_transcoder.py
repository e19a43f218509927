"""The library's published transcoder case, unchanged and complete (its own transcoder must skip six of the tests)."""

from __future__ import annotations

import os
from typing import Any

from eventsourcing.persistence import JSONTranscoder, Transcoder, Transcoding, UUIDAsHex
from eventsourcing.tests import persistence as published

from eventstore.persistence import JetStreamFactory


class MyDictAsDict(Transcoding):
    type = published.Mydict
    name = "mydict"

    def encode(self, obj: dict[Any, Any]) -> dict[Any, Any]:
        return dict(obj)

    def decode(self, data: dict[Any, Any]) -> dict[Any, Any]:
        return published.Mydict(data)


class MyListAsList(Transcoding):
    type = published.MyList
    name = "mylist"

    def encode(self, obj: list[Any]) -> list[Any]:
        return list(obj)

    def decode(self, data: list[Any]) -> list[Any]:
        return published.MyList(data)


class MyStrAsStr(Transcoding):
    type = published.MyStr
    name = "mystr"

    def encode(self, obj: str) -> str:
        return str(obj)

    def decode(self, data: str) -> str:
        return published.MyStr(data)


class MyIntAsInt(Transcoding):
    type = published.MyInt
    name = "myint"

    def encode(self, obj: int) -> int:
        return int(obj)

    def decode(self, data: int) -> int:
        return published.MyInt(data)


class TestTranscoder(published.TranscoderTestCase):
    def construct_transcoder(self) -> Transcoder:
        topic = "eventstore.persistence.transcoder:LosslessJSONTranscoder"
        transcoder = JetStreamFactory({**os.environ, "TRANSCODER_TOPIC": topic}).transcoder()
        assert isinstance(transcoder, JSONTranscoder)
        for transcoding in (
            published.CustomType1AsDict(),
            published.CustomType2AsDict(),
            UUIDAsHex(),
            MyDictAsDict(),
            MyListAsList(),
            MyStrAsStr(),
            MyIntAsInt(),
        ):
            transcoder.register(transcoding)
        return transcoder
