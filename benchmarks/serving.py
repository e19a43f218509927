"""Predictions over HTTP, all of them recorded, beside the same model behind a plain handler and called in-process."""

from __future__ import annotations

import asyncio
import itertools
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import numpy as np

from benchmarks.comparison import Contender, all_of, at_least, compare, show
from benchmarks.load_generator import Load, post, posted
from benchmarks.plain_model import Ask, by_fitted, by_pipeline
from domain import model
from domain.pipeline import Feature, Pipeline
from eventstore.blobs import Blobs
from eventstore.envelope import new_id, now
from handlers.command import Caller, Directive
from models.learn.artifacts import Fitted, dump
from models.learn.pipelines import build
from models.serve.predictions import PredictionBatch, Predictions
from models.serve.rows import RowReader
from sagacity.embedded.directory import free_port
from sagacity.wiring import Core, open_core
from tests.up import running_platform

CLIENTS = (1, 16, 64, 256)
FEATURES = tuple(Feature(f"feature{number}") for number in range(20))
MINE = "POST /predict, recorded"
PLAIN = "plain handler, scikit-learn's pipeline"
PLAIN_FITTED = "plain handler, our way through it"

_random = np.random.default_rng(2026)
_ROWS: list[list[float]] = _random.normal(size=(1_000, len(FEATURES))).tolist()
_bodies = itertools.cycle(
    msgspec.json.encode({"features": dict(zip((each.name for each in FEATURES), row, strict=True))}) for row in _ROWS
)
_requests = itertools.cycle([posted("/predict", next(_bodies)) for _ in _ROWS])


async def run(rounds: int, seconds: float) -> None:
    fitted = _fitted()
    with tempfile.TemporaryDirectory() as home:
        artifact = Path(home) / "artifact"
        artifact.write_bytes(dump(fitted))
        with (
            running_platform(Path(home) / "up") as up,
            _plain(artifact, "pipeline") as pipeline,
            _plain(artifact, "fitted") as plain,
        ):
            nats_url = (up.home / "run" / "nats_url").read_text()
            async with open_core(nats_url, name="benchmark") as core:
                await _bring_into_use(core, artifact.read_bytes(), up.url)
                await _in_process(fitted, rounds)
                urls = {MINE: up.url, PLAIN: pipeline, PLAIN_FITTED: plain}
                for clients in CLIENTS:
                    await _over_http(urls, clients, rounds, seconds)
                await _where_the_time_goes(core, fitted)


async def _over_http(urls: dict[str, str], clients: int, rounds: int, seconds: float) -> None:
    loads: dict[str, list[Load]] = {name: [] for name in urls}

    def measure(name: str) -> Callable[[], Awaitable[float]]:
        async def once() -> float:
            load = await post(urls[name], clients, seconds, lambda: next(_requests), status=200)
            loads[name].append(load)
            return load.rate

        return once

    contenders = [Contender(name, measure(name)) for name in urls]
    contenders[0].goal = all_of(at_least(0.5, PLAIN, MINE), at_least(0.5, PLAIN_FITTED, MINE))
    medians = await compare(f"predictions over HTTP, clients: {clients}", "requests/s", contenders, rounds)
    for plain in (PLAIN, PLAIN_FITTED):
        ratio = medians[MINE] / medians[plain]
        met = "met" if ratio >= 0.5 else "NOT met"
        print(f"goal with {clients} at once, at least 0.5 × {plain}: {ratio:.2f} ×, {met}")
    _latencies(clients, {name: found[1:] for name, found in loads.items()})
    print(f"failures: {sum(load.failures for found in loads.values() for load in found)}")


def _latencies(clients: int, loads: dict[str, list[Load]]) -> None:
    rows: list[Contender] = []
    for name, found in loads.items():
        for label, share in (("p50", 0.5), ("p99", 0.99)):
            row = Contender(f"{label}, {name}", lambda: asyncio.sleep(0, 0.0))
            row.rounds = [load.percentile(share) * 1000 for load in found]
            rows.append(row)
    show(f"latency, clients: {clients}", "ms", rows, {})


async def _in_process(fitted: Fitted, rounds: int) -> None:
    def measure(ask: Ask) -> Callable[[], Awaitable[float]]:
        async def once() -> float:
            began = time.perf_counter()
            for row in _ROWS:
                ask(row)
            return len(_ROWS) / (time.perf_counter() - began)

        return once

    contenders = [
        Contender("scikit-learn's pipeline", measure(by_pipeline(fitted))),
        Contender("our way through it (Fitted.predict)", measure(by_fitted(fitted))),
    ]
    await compare("called in-process, one row at a time", "rows/s", contenders, rounds)


async def _where_the_time_goes(core: Core, fitted: Fitted) -> None:
    """Each part by itself, without load."""
    reader, predictions = RowReader(fitted.features), Predictions(core.connection)
    raw = msgspec.json.encode(dict(zip((each.name for each in FEATURES), _ROWS[0], strict=True)))
    parts: list[Contender] = []
    for count in (1, 16, 64):
        rows = [list[float | str | None](row) for row in _ROWS[:count]]
        labels, confidences = fitted.predict(rows)
        parts += [
            _part(
                f"{count} rows: read and check the JSON of each", lambda n=count: [reader.one(raw) for _ in range(n)]
            ),
            _part(f"{count} rows: one call of the model", lambda rows=rows: fitted.predict(rows)),
        ]
        stored = Contender(f"{count} rows: store the batch, until acknowledged", lambda: asyncio.sleep(0, 0.0))
        for _ in range(100):
            batch = PredictionBatch(new_id(), "benchmark", "1", now(), rows, labels, confidences)
            began = time.perf_counter()
            await predictions.publish(batch)
            stored.rounds.append((time.perf_counter() - began) * 1000)
        parts.append(stored)
    await predictions.close()
    show("where the time goes, each part by itself", "ms", parts, {})


def _part(name: str, work: Callable[[], object]) -> Contender:
    part = Contender(name, lambda: asyncio.sleep(0, 0.0))
    for _ in range(100):
        began = time.perf_counter()
        work()
        part.rounds.append((time.perf_counter() - began) * 1000)
    return part


def _fitted() -> Fitted:
    rows = np.array(_ROWS)
    labels = np.where(rows[:, 0] + rows[:, 1] > 0, "yes", "no")
    pipeline: Any = build(Pipeline(), FEATURES, 0)
    return Fitted(FEATURES, ("no", "yes"), pipeline.fit(rows, labels))


async def _bring_into_use(core: Core, artifact: bytes, url: str) -> None:
    content, experiment = await Blobs(core.connection).put(artifact), "benchmark-1"
    added = model.AddVersion("1", experiment, content, "d", content, 1_000, ("no", "yes"), {}, model.Holdout(300, 9))
    commands = [
        model.Register("Benchmark", FEATURES, "target"),
        model.ReserveTraining(experiment, "1"),
        added,
        model.ReleaseTraining(experiment),
        model.Promote("1"),
    ]
    directives = [Directive(id=new_id(), category="model", stream_id="benchmark", command=each) for each in commands]
    await core.handler.direct(directives, Caller(actor="benchmark"))
    async with httpx.AsyncClient(base_url=url) as client, asyncio.timeout(10):
        while (await client.post("/predict", content=next(_bodies))).status_code != 200:
            await asyncio.sleep(0.05)


@contextmanager
def _plain(artifact: Path, way: str) -> Generator[str]:
    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.plain_model", str(port), str(artifact), way])
    try:
        url = f"http://127.0.0.1:{port}"
        for _ in range(400):
            try:
                httpx.post(f"{url}/predict", content=next(_bodies))
                break
            except httpx.TransportError:
                time.sleep(0.05)
        yield url
    finally:
        process.terminate()
        process.wait()
