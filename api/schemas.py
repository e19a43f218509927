"""The small parts that the references of the API are put together from."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from projections.projection import AnyTable

REF: Final = "#/components/schemas/{name}"
LINKS: Final = {"type": "object", "additionalProperties": {"type": "string"}}

Document = dict[str, Any]


def ref(name: str) -> Document:
    return {"$ref": f"#/components/schemas/{name}"}


def structure(properties: Document) -> Document:
    return {"type": "object", "required": list(properties), "properties": properties}


def list_of(schema: Document) -> Document:
    return {"type": "array", "items": schema}


def map_of(name: str) -> Document:
    return {"type": "object", "additionalProperties": ref(name)}


def page_of(schema: Document) -> Document:
    return structure({"items": list_of(schema), "_links": LINKS})


def page_example(path: str, item: Any) -> Document:
    return {"items": [item], "_links": {"self": path}}


def schema_of(value: Any) -> Document:
    kinds = {str: "string", int: "integer", dict: "object"}
    return {"type": kinds[type(value)]}


def query(name: str, schema: Document) -> Document:
    return {"name": name, "in": "query", "schema": schema, "required": False, "description": "Only those with this"}


def header(name: str, description: str) -> Document:
    return {"name": name, "in": "header", "schema": {"type": "string"}, "required": False, "description": description}


def data_schemas(tag: str, struct: type[msgspec.Struct], *, tagged: bool = True) -> Document:
    """The data of an event or command, and what it refers to under names of its own: structs of different contexts
    share theirs. A command's data is without the tag that an event's has."""
    _, found = msgspec.json.schema_components([struct], ref_template=f"#/components/schemas/{tag}.{{name}}")
    own: Document = dict(found.pop(struct.__name__))
    if not tagged:
        own["properties"] = {name: part for name, part in own["properties"].items() if name != "type"}
        own["required"] = [name for name in own.get("required", []) if name != "type"]
    return {tag: own, **{f"{tag}.{name}": schema for name, schema in found.items()}}


def filters_of(table: AnyTable) -> list[Document]:
    types = {column.name: column.type for column in table.columns}
    filters: list[Document] = []
    for name in (*table.filters, *table.partial):
        if types[name] == "timestamptz":
            moment = {"type": "string", "format": "date-time"}
            filters += [query(f"{name}_after", moment), query(f"{name}_before", moment)]
        elif types[name] == "double precision":
            filters += [query(f"{name}_above", {"type": "number"}), query(f"{name}_below", {"type": "number"})]
        else:
            filters.append(query(name, {"type": "string"}))
    filters += [query(name, {"type": "string"}) for name, _ in table.listed]
    return filters + ([query("text", {"type": "string"})] if table.full_text else [])
