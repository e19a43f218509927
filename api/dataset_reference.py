"""Uploading, making up and looking into datasets, in the API reference."""

from __future__ import annotations

from typing import Any, Final

from api import model_examples
from api.datasets import Generate
from api.links import API, path_of
from api.problems import CONTENT_TYPE, STANDARD
from api.registering import DatasetAnswer
from api.schemas import LINKS, Document, list_of, page_example, ref, structure
from api.uploads import FORM
from models.data.formats import MEDIA_TYPES

STRUCTS: Final = (DatasetAnswer, Generate)

_JSON: Final = "application/json"
_ROW: Final = model_examples.ROWS["datasets"]
_PATH: Final = path_of("dataset", _ROW["id"])
_ANSWER: Final[dict[str, Any]] = {
    "dataset_id": _ROW["id"],
    "content": _ROW["content"],
    "samples": _ROW["samples_count"],
    "columns": _ROW["columns"],
    "quality_score": _ROW["quality_score"],
    "target": _ROW["target"],
    "position": _ROW["position"],
    "_links": {"self": _PATH, "samples": f"{_PATH}/samples", "events": f"{_PATH}/events"},
}
_FILES: Final = {
    "text/csv": "age,churned\n41,no\n,yes\n",
    "application/x-ndjson": '{"age": 41, "churned": "no"}\n{"age": null, "churned": "yes"}\n',
}


def describe_datasets(paths: Document) -> None:
    upload, generate = paths[f"{API}/datasets"]["post"], paths[f"{API}/datasets/generate"]["post"]
    upload["requestBody"] = {"required": True, "content": {kind: _file(kind) for kind in (*MEDIA_TYPES, FORM)}}
    asked = {"schema": ref("Generate"), "example": {"samples": 1000, "seed": 7}}
    generate["requestBody"] = {"required": True, "content": {_JSON: asked}}
    for operation, path in ((upload, f"{API}/datasets"), (generate, f"{API}/datasets/generate")):
        for status, text in (("201", "Stored, and on the record"), ("200", "It was there before")):
            example = _ANSWER if status == "201" else {**_ANSWER, "duplicate": True}
            content = {_JSON: {"schema": ref("DatasetAnswer"), "example": example}}
            operation["responses"][status] = {"description": text, "content": content}
        for status in (409, 422):
            operation["responses"][str(status)] = _refusal(status, path)
    samples = f"{API}/datasets/{{id}}/samples"
    row = structure({"row": {"type": "integer"}, "values": {"type": "object"}})
    page = structure({"items": list_of(row), "_links": LINKS})
    example = page_example(f"{_PATH}/samples", {"row": 1, "values": {"age": 41.0, "churned": "no"}})
    paths[samples]["get"]["responses"]["200"]["content"] = {_JSON: {"schema": page, "example": example}}


def _file(kind: str) -> Document:
    if kind == FORM:
        return {"schema": structure({"file": {"type": "string"}}), "example": {"file": _FILES["text/csv"]}}
    return {"schema": {"type": "string"}, "example": _FILES.get(kind, "the bytes of a Parquet file")}


def _refusal(status: int, path: str) -> Document:
    name, title = STANDARD[status]
    example = {"type": f"/problems/{name}", "title": title, "status": status, "instance": path}
    return {"description": title, "content": {CONTENT_TYPE: {"schema": ref("Problem"), "example": example}}}
