"""The same model as anybody would serve it: a Litestar handler on the same server that asks it once a request.

python -m benchmarks.plain_model PORT ARTIFACT pipeline|fitted
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import uvloop
from litestar import Litestar, Request, Response, post

from api.serving import serve
from models.learn.artifacts import Fitted, load
from models.learn.encoding import numbers

Ask = Callable[[list[float]], tuple[str, float]]


def by_pipeline(fitted: Fitted) -> Ask:
    """By scikit-learn alone."""
    pipeline: Any = fitted.pipeline

    def ask(row: list[float]) -> tuple[str, float]:
        (chances,) = pipeline.predict_proba(numbers([row]))
        best = int(chances.argmax())
        return fitted.classes[best], float(chances[best])

    return ask


def by_fitted(fitted: Fitted) -> Ask:
    """By our own way through the fitted pipeline."""

    def ask(row: list[float]) -> tuple[str, float]:
        (label,), (confidence,) = fitted.predict([row])
        return label, confidence

    return ask


def application(fitted: Fitted, ask: Ask) -> Litestar:
    names = [feature.name for feature in fitted.features]

    @post("/predict", status_code=200)
    async def predict(request: Request[Any, Any, Any]) -> Response[bytes]:
        given = msgspec.json.decode(await request.body())["features"]
        label, confidence = ask([given[name] for name in names])
        content = msgspec.json.encode({"prediction": label, "confidence": confidence})
        return Response(content, media_type="application/json")

    return Litestar([predict], logging_config=None, openapi_config=None)


async def main(port: int, artifact: Path, way: str) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    fitted = load(artifact.read_bytes())
    ask = by_pipeline(fitted) if way == "pipeline" else by_fitted(fitted)
    await serve(application(fitted, ask), "127.0.0.1", port, stop)


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]))
