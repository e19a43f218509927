"""What MLflow is told of a model's trainings: their records, and the artifacts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import datetime
from typing import Any

from api.links import path_of
from domain import experiment
from eventstore.blobs import BlobMissing, Blobs
from eventstore.connection import connect_to
from models.learn.mlflow_export import ExportFailed, ExportUnavailable, RunRecord, export, record_of
from sagacity.cli import UserError
from sagacity.cli.connecting import Api, ApiPlace, LogPlace, open_api
from sagacity.cli.event_log import run, server_url
from sagacity.cli.model_lines import event_of
from sagacity.cli.output import Advance


def export_all(
    target: ApiPlace, id: str, tracking_uri: str, artifacts_at: LogPlace | None, advance: Advance
) -> list[dict[str, str]]:
    """Every training that has ended, oldest first; with its artifact if a place is given. Raises UserError."""
    records = run(_records(target, id, server_url(artifacts_at) if artifacts_at else None))
    runs: list[dict[str, str]] = []
    for number, (record, artifact) in enumerate(records, 1):
        try:
            run_id = export(record, artifact, tracking_uri=tracking_uri, experiment_name=id)
        except (ExportUnavailable, ExportFailed, ValueError) as error:
            raise UserError(str(error)) from error
        runs.append({"experiment": record.experiment_id, "run": run_id, "outcome": record.outcome or ""})
        advance("exporting", number, len(records))
    return runs


async def _records(target: ApiPlace, id: str, blobs_at: str | None) -> list[tuple[RunRecord, bytes | None]]:
    """Oldest first, with the artifact where it is asked for and there is one."""
    async with AsyncExitStack() as stack:
        api = await stack.enter_async_context(open_api(target, timeout=60))
        blobs: Blobs | None = None
        if blobs_at is not None:
            connection = await connect_to(blobs_at, name="sagacity-cli", patience=5.0, waits=False)
            stack.push_async_callback(connection.close)
            blobs = Blobs(connection)
        await api.get(path_of("model", id))
        found = [await _record(api, row["id"]) for row in reversed(await _ended(api, id))]
        return [(record, await _artifact(blobs, record)) for record in found]


async def _ended(api: Api, id: str) -> Sequence[Mapping[str, Any]]:
    """Latest first."""
    rows: list[Mapping[str, Any]] = []
    page = await api.get("/api/v1/experiments", model_id=id, status="ended", limit=500)
    rows += page["items"]
    while "next" in page["_links"]:
        page = await api.get(page["_links"]["next"])
        rows += page["items"]
    return rows


async def _record(api: Api, id: str) -> RunRecord:
    items: Sequence[Mapping[str, Any]] = (await api.get(f"{path_of('experiment', id)}/events", limit=500))["items"]
    events: list[tuple[datetime, experiment.Event]] = [
        (datetime.fromisoformat(document["time"]), event)
        for document in items
        if (event := event_of(document)) is not None
    ]
    return record_of(id, events)


async def _artifact(blobs: Blobs | None, record: RunRecord) -> bytes | None:
    if blobs is None or record.trained is None:
        return None
    try:
        return await blobs.get(record.trained.artifact)
    except BlobMissing as error:
        raise UserError(f"the artifact of {record.experiment_id} is not stored there") from error
