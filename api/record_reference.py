"""Intake, quality and what strangers sent, in the API reference."""

from __future__ import annotations

from typing import Any, Final

from api import record_examples as examples
from api.intake_answers import IntakeAnswer
from api.links import API
from api.problems import CONTENT_TYPE, STANDARD
from api.schemas import LINKS, Document, filters_of, header, page_example, page_of, ref, structure
from projections.data_quality import data_quality
from projections.quality_figures import Overview, Share, Trend

STRUCTS: Final = (IntakeAnswer, Overview, Share, Trend)

_JSON: Final = "application/json"
_BYTES: Final[Document] = {"type": "string", "contentMediaType": "application/octet-stream"}
_QUALITY: Final = f"{API}/quality"
_MESSAGE: Final[dict[str, Any]] = {"id": "7", "sender": "ann", "text": "paid", "data": {"amount": 12.5}}
_EVENT: Final[dict[str, Any]] = {
    "specversion": "1.0",
    "id": "7",
    "source": "/shop",
    "type": "order.placed",
    "data": {"number": "7", "total": 12.5},
}
_UPDATE: Final[dict[str, Any]] = {
    "update_id": 10000,
    "message": {
        "message_id": 1365,
        "date": 1763656511,
        "from": {"id": 1111111, "is_bot": False, "first_name": "Ann"},
        "chat": {"id": 1111111, "type": "private"},
        "text": "it was on the third of March",
    },
}
_MAIL: Final = (
    "From: ann@example.org\r\nMessage-ID: <7@example.org>\r\nSubject: Invoice 7\r\n\r\nIt is due in March.\r\n"
)
_SIGNED: Final = {
    "Authorization": "`Bearer <secret of the source>`: e-mail, HTTP and CloudEvents",
    "X-Hub-Signature-256": "WhatsApp: HMAC-SHA256 of the body",
    "X-Telegram-Bot-Api-Secret-Token": "Telegram: the secret token of the webhook",
    "X-Signature-Ed25519": "Discord: of the timestamp and the body",
    "X-Signature-Timestamp": "Discord",
    "Idempotency-Key": "HTTP: what a message without an `id` is known by",
}


def describe_records(paths: Document) -> None:
    _describe_intake(paths[f"{API}/intake/{{id}}"])
    of = f"{API}/records/{{id}}"
    for path in (f"{of}/original", f"{of}/attachments/{{number}}"):
        content = {"*/*": {"schema": _BYTES, "example": _MAIL}}
        paths[path]["get"]["responses"]["200"] = {
            "description": "As it came, of its own media type",
            "content": content,
        }
    _describe_quality(paths)


def _describe_intake(operations: Document) -> None:
    verify, deliver = operations["get"], operations["post"]
    asked = {"hub.mode": "`subscribe`", "hub.verify_token": "As the source has it", "hub.challenge": "To be answered"}
    verify["parameters"] += [{**header(name, text), "in": "query"} for name, text in asked.items()]
    verify["responses"]["200"] = {
        "description": "The challenge",
        "content": {"text/plain": {"schema": {"type": "string"}, "example": "1158201444"}},
    }
    deliver["parameters"] += [header(name, text) for name, text in _SIGNED.items()]
    deliver["requestBody"] = {"required": True, "content": _bodies()}
    answer = {"schema": ref("IntakeAnswer"), "example": examples.TAKEN}
    again = {"records": [{**examples.TAKEN["records"][0], "duplicate": True}]}
    deliver["responses"] |= {
        "201": {"description": "On the record", "content": {_JSON: answer}},
        "200": {
            "description": "As the platform wants to hear it, or delivered before",
            "content": {_JSON: _heard(again)},
        },
        "204": {"description": "Discord: noted"},
    }
    for operation, statuses in ((verify, (401, 404)), (deliver, (401, 404, 409, 413, 422))):
        operation["responses"] |= {str(status): _problem(status, f"{API}/intake/invoices") for status in statuses}


def _bodies() -> Document:
    anything = {"description": "As the platform of the source says it"}
    posted = {"message": {"value": _MESSAGE}, "messages": {"value": [_MESSAGE]}, "telegram": {"value": _UPDATE}}
    form = structure({"text": {"type": "string"}})
    return {
        _JSON: {"schema": anything, "examples": posted},
        "application/cloudevents+json": {"schema": {"type": "object"}, "example": _EVENT},
        "message/rfc822": {"schema": {"type": "string"}, "example": _MAIL},
        "multipart/form-data": {
            "schema": form,
            "example": {"sender": "ann", "text": "see the scan", "amount": "12.50"},
        },
        "*/*": {"schema": _BYTES, "example": "the bytes of one file, which Content-Disposition gives a name"},
    }


def _heard(again: Document) -> Document:
    told = structure({"type": {"type": "integer"}})
    examples = {"records": {"value": again}, "discord": {"value": {"type": 1}}}
    return {"schema": {"oneOf": [ref("IntakeAnswer"), told]}, "examples": examples}


def _describe_quality(paths: Document) -> None:
    tracked = paths[_QUALITY]["get"]
    row = {"allOf": [ref("DataQuality"), structure({"_links": LINKS})]}
    links = {"record": f"{API}/records/{examples.RECORD}"}
    _answer(tracked, page_of(row), page_example(_QUALITY, {**examples.TRACKED, "_links": links}))
    tracked["parameters"] += filters_of(data_quality.tables[0])
    overview = {"allOf": [ref("Overview"), structure({"_links": LINKS})]}
    _answer(paths[f"{_QUALITY}/overview"]["get"], overview, {**examples.OVERVIEW, "_links": {}})
    open_ = {"allOf": [ref("FollowUp"), structure({"_links": LINKS})]}
    for name, schema, example in (
        ("sources", ref("Share"), examples.SHARE),
        ("trends", ref("Trend"), examples.TREND),
        ("follow-ups", open_, {**examples.FOLLOW_UP, "_links": links}),
    ):
        path = f"{_QUALITY}/{name}"
        _answer(paths[path]["get"], page_of(schema), page_example(path, example))
    for path in (_QUALITY, *(f"{_QUALITY}/{name}" for name in ("overview", "sources", "trends", "follow-ups"))):
        paths[path]["get"]["responses"]["422"] = _problem(422, path)


def _answer(operation: Document, schema: Document, example: Any) -> None:
    operation["responses"]["200"]["content"] = {_JSON: {"schema": schema, "example": example}}


def _problem(status: int, path: str) -> Document:
    name, title = STANDARD[status]
    example = {"type": f"/problems/{name}", "title": title, "status": status, "instance": path}
    return {"description": title, "content": {CONTENT_TYPE: {"schema": ref("Problem"), "example": example}}}
