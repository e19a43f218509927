"""Where the chapter on models plays: calls of the public API, the camera, and what is on record."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, NamedTuple, get_args

import httpx
import msgspec

from api.links import path_of
from domain import monitor
from eventstore.blobs import Blobs
from eventstore.connection import connect_to
from eventstore.envelope import new_id
from models.observe.drift_replay import Said, verdicts
from sagacity.cli.connecting import Api
from sagacity.cli.model_following import followed
from sagacity.demo.camera import Camera
from sagacity.demo.following import Show
from sagacity.demo.segments import Region, regions
from sagacity.demo.story import Claim, Tell
from sagacity.demo.trainings import ToldTraining, Training

SEED: Final = 0
_LOOK: Final = 0.1
_PATIENCE: Final = 60.0
"""Seconds."""

_EVENTS: Final[dict[str, type[monitor.Event]]] = {
    str(each.__struct_config__.tag): each for each in get_args(monitor.Event)
}


class Errors(NamedTuple):
    """Predictions and wrong ones among them, by version."""

    answered: Mapping[str, int]
    wrong: Mapping[str, int]

    @classmethod
    def of(cls, camera: Camera) -> Errors:
        return cls(dict(camera.answered), dict(camera.wrong))

    def __sub__(self, before: Errors) -> Errors:
        answered = {version: number - before.answered.get(version, 0) for version, number in self.answered.items()}
        wrong = {version: number - before.wrong.get(version, 0) for version, number in self.wrong.items()}
        return Errors(answered, wrong)

    def rate(self, version: str) -> float:
        return self.wrong.get(version, 0) / max(1, self.answered.get(version, 0))


class Scene:
    """One model, and all that is told of it."""

    def __init__(self, api: Api, blobs: Blobs, run: str, tell: Tell, show: Show, known: int) -> None:
        """`run` makes the names of this telling others than those before; the camera sees no region of the first
        `known` ones."""
        self.model = f"materials-{run}"
        self.regions: list[Region] = regions(SEED)
        self.camera = Camera(api.client, self.model, self.regions[known:])
        self.tell = tell
        self._api = api
        self._blobs = blobs
        self._show = show

    async def command(self, type: str, data: Mapping[str, Any]) -> Mapping[str, Any]:
        body = {"id": new_id(), "type": type, "stream": {"category": "model", "id": self.model}, "data": data}
        return await self._api.post("/api/v1/commands", msgspec.json.encode(body))

    async def upload(self, name: str, content: bytes, target: str) -> str:
        """The id of the dataset."""
        id = f"{self.model}-{name}"
        headers, query = {"Content-Type": "text/csv"}, {"id": id, "name": name, "target": target}
        answer = await self._api.client.post("/api/v1/datasets", params=query, content=content, headers=headers)
        answer.raise_for_status()
        return id

    async def retrain(self, dataset: str) -> str:
        """The id of the experiment."""
        answer = await self.command("model.retrain", {"dataset_id": dataset})
        [opened] = [event["stream"] for event in answer["events"] if event["type"] == "experiment.requested"]
        return str(opened).rpartition("/")[2]

    async def follow(self, experiment_id: str) -> Training:
        told = ToldTraining(self.camera, self._show)
        async with asyncio.timeout(_PATIENCE):
            return told.training(await followed(self._api, experiment_id, told))

    async def in_use(self, position: int) -> str | None:
        """The version, when the event at that position has come through."""
        return (await self._api.get(path_of("model", self.model), min_position=position, wait=30))["active_version"]

    async def observed(self, outcomes: int) -> Mapping[str, Any]:
        """The monitor once it knows so many predictions and outcomes of the version in use. Raises TimeoutError."""
        async with asyncio.timeout(_PATIENCE):
            while True:
                found = await self._api.get(path_of("monitor", self.model))
                if min(found["predictions"], found["outcomes"]) >= outcomes:
                    return found
                await asyncio.sleep(_LOOK)

    async def drift_of_errors(self) -> Mapping[str, Any]:
        """The first verdict on errors, once there is one. Raises TimeoutError."""
        async with asyncio.timeout(_PATIENCE):
            while not (found := await self._verdicts_on("errors")):
                await asyncio.sleep(_LOOK)
        return found[-1]

    async def drifted_features(self, version: str) -> list[str]:
        """While a version was in use; in the order in which their drift was found."""
        found = [each for each in await self._verdicts_on("feature") if each["version"] == version]
        return list(dict.fromkeys(each["feature"] for each in reversed(found)))

    def all_answered(self) -> Claim:
        asked, lost = self.camera.asked, self.camera.lost
        again = f"; the camera has seen its regions {self.camera.rounds:.1f} times" if self.camera.rounds > 1 else ""
        return Claim(f"{asked} predictions in all, {len(lost)} failed{again}", not lost)

    async def verdicts(self) -> tuple[list[bytes], list[bytes]]:
        """All on record, and what comes out when they are computed again from the rows that were observed."""
        events = [_event_of(document) async for document in self._history()]
        recorded = [event for event in events if isinstance(event, Said)]
        return _encoded(recorded), _encoded(await verdicts(events, self._blobs.get))

    async def _verdicts_on(self, kind: str) -> list[Mapping[str, Any]]:
        """Latest first."""
        return (await self._api.get(f"{path_of('model', self.model)}/drift", kind=kind, limit=500))["items"]

    async def _history(self) -> AsyncGenerator[Mapping[str, Any]]:
        where: str | None = f"{path_of('monitor', self.model)}/events"
        while where is not None:
            page = await self._api.get(where)
            for document in page["items"]:
                yield document
            where = page["_links"].get("next")


@asynccontextmanager
async def scene_at(url: str, nats_url: str, run: str, tell: Tell, show: Show, known: int) -> AsyncGenerator[Scene]:
    """On a platform and its log."""
    connection = await connect_to(nats_url, name="demo")
    try:
        async with httpx.AsyncClient(base_url=url, timeout=40, headers={"X-Actor": "demo"}) as client:
            yield Scene(Api(client, url), Blobs(connection), run, tell, show, known)
    finally:
        await connection.close()


def _event_of(document: Mapping[str, Any]) -> monitor.Event:
    return msgspec.convert(document["data"], _EVENTS[document["type"]])


def _encoded(events: list[Said]) -> list[bytes]:
    return [msgspec.json.encode(event) for event in events]
