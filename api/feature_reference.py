"""Lists that belong to one resource, and the values of features, in the API reference."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from api import model_examples, record_examples, workflow_examples
from api.belongings import BELONGINGS
from api.feature_bodies import ValuesBody
from api.features import PATH, RowAt, ValueAt
from api.links import API
from api.schemas import LINKS, Document, filters_of, list_of, page_example, page_of, ref, structure
from projections.read_models import READ_MODELS

STRUCTS: Final = (ValueAt, RowAt, ValuesBody)

_JSON: Final = "application/json"
_TEXT: Final = {"type": "string"}
_BELONGINGS: Final = {**model_examples.BELONGINGS, **record_examples.BELONGINGS, **workflow_examples.BELONGINGS}


def describe_belongings(paths: Document, references: Mapping[type[Any], Document]) -> None:
    tables = {(model.name, table.name): table for model in READ_MODELS for table in model.tables}
    for of in BELONGINGS:
        table, path = tables[of.projection, of.table], f"{API}/{of.resources}/{{id}}/{of.name}"
        named = {"allOf": [references[table.row], structure({f"{of.category}_name": _TEXT})]}
        item = named if of.named else references[table.row]
        _answer(paths[path]["get"], page_of(item), page_example(path, _BELONGINGS[of.resources, of.name]))
        paths[path]["get"]["parameters"] += [each for each in filters_of(table) if each["name"] != of.by]


def describe_values(paths: Document) -> None:
    values = structure({"items": list_of(ref("ValueAt")), "_links": LINKS})
    _answer(paths[PATH]["get"], values, {"items": [model_examples.VALUE], "_links": {"self": PATH}})
    batch = paths[f"{PATH}/batch"]["post"]
    body = {"schema": ref("ValuesBody"), "example": model_examples.BATCH}
    batch["requestBody"] = {"required": True, "content": {_JSON: body}}
    rows = {"features": list_of(_TEXT), "known_at": {"type": "integer"}, "rows": list_of(ref("RowAt"))}
    _answer(batch, structure(rows), model_examples.ROWS_AT)


def _answer(operation: Document, schema: Document, example: Any) -> None:
    operation["responses"]["200"]["content"] = {_JSON: {"schema": schema, "example": example}}
