"""Examples of the API reference for records, their sources and schemas, and automations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_SENT: Final = "2026-11-20T16:05:11Z"
_TIME: Final = "2026-11-21T06:37:29.154137Z"
_LATER: Final = "2026-11-21T06:37:29.946307Z"
_DEADLINE: Final = "2026-11-24T16:00:00Z"
_CONTENT: Final = "fcde2b2edba56bf408601fb721fe9b5c338d10ee429ea04fae5511b68fbf8fb9"
RECORD: Final = "invoices-9f3c1d7a5b2e4f60718293a4"
_FLAG: Final[dict[str, Any]] = {"kind": "doubtful", "path": "total", "detail": "two amounts are called total"}
_SENDER: Final = {"id": "ann@example.org", "name": "Ann"}
_ATTACHMENT: Final[dict[str, Any]] = {
    "name": "invoice-7.pdf",
    "media_type": "application/pdf",
    "size": 18231,
    "content": _CONTENT,
    "remote": None,
    "refused": None,
}
_CALENDAR: Final[dict[str, Any]] = {
    "time_zone": "Europe/Vienna",
    "country": "AT",
    "subdivision": None,
    "days": [0, 1, 2, 3, 4],
    "opens": 9.0,
    "closes": 17.0,
}
_FOLLOW_UP: Final = {"enabled": True, "rounds": 3, "remind_after": 8.0, "expire_after": 24.0, "clock": "work"}
_LIMITS: Final[dict[str, Any]] = {"attachment": 10485760, "types": ["application/pdf", "image/*"]}
_REPLY: Final = {
    "api": "smtp://mail.example.com:587",
    "account": "invoices@example.com",
    "token": "INVOICES_PASSWORD",
    "apprise": None,
}
_SOURCE: Final[dict[str, Any]] = {
    "platform": "email",
    "name": "Invoices",
    "organization_id": "acme",
    "language": "en",
    "domain": "financial",
    "calendar": _CALENDAR,
    "follow_up": _FOLLOW_UP,
    "limits": _LIMITS,
    "reply": _REPLY,
    "secret": "INVOICES_SECRET",
    "verify": None,
}
_FIELDS: Final[list[dict[str, Any]]] = [
    {"path": "number", "type": "identifier", "labels": {"en": ["claim number"]}},
    {"path": "damage", "type": "amount", "weight": 2.0, "minimum": 0.0, "questions": {"en": "How high is the damage?"}},
]
_SCHEMA: Final[dict[str, Any]] = {"name": "claims", "title": "Insurance claim", "fields": _FIELDS, "rules": []}
_TRIGGER: Final[dict[str, Any]] = {"type": "file_watcher", "path": "/srv/scans", "pattern": "*.pdf"}
_ACTIONS: Final[list[dict[str, Any]]] = [{"type": "process_document", "source": "scans"}]

COMMANDS: Final[Mapping[str, dict[str, Any]]] = {
    "source.register": {"platform": "email", "name": "Invoices", "domain": "financial", "secret": "INVOICES_SECRET"},
    "source.configure": {"platform": "email", "name": "Invoices", "follow_up": {"rounds": 1}},
    "source.close": {"reason": "the mailbox was given up"},
    "record.receive": {
        "message": {
            "platform": "http",
            "source": "desk",
            "external_id": "7",
            "sender": {"id": "ann"},
            "sent_at": _SENT,
            "text": "Invoice 7 of Miller Ltd, to be paid by the end of March",
        }
    },
    "record.retry": {"stage": "analyse"},
    "record.correct": {"path": "total", "value": 1210.5, "reason": "misread"},
    "record.answer": {"values": {"due_date": "2026-12-01"}, "refused": ["tax_number"]},
    "record.start_follow_up": {},
    "record.pause_follow_up": {"reason": "they are on holiday"},
    "record.resume_follow_up": {},
    "record.dismiss": {"reason": "an advertisement"},
    "record_schema.publish": {"schema": _SCHEMA},
    "record_schema.withdraw": {"version": 2, "reason": "asks for too much"},
    "automation.register": {"name": "Scans", "trigger": _TRIGGER, "actions": _ACTIONS},
    "automation.pause": {"reason": "the scanner is being repaired"},
    "automation.resume": {},
    "automation.remove": {},
}

TRACKED: Final[dict[str, Any]] = {
    "id": f"record/{RECORD}",
    "entity_type": "record",
    "entity_id": RECORD,
    "source": "invoices",
    "domain": "financial",
    "schema_version": 1,
    "completeness_score": 0.875,
    "validity_score": 0.9286,
    "score": 0.8125,
    "missing_fields": ["due_date"],
    "quality_flags": ["doubtful:total"],
    "last_updated": _LATER,
    "follow_up_count": 1,
    "follow_up_deadline": _DEADLINE,
    "position": 131,
}
FOLLOW_UP: Final[dict[str, Any]] = {
    "id": f"{RECORD}/1",
    "record_id": RECORD,
    "source": "invoices",
    "number": 1,
    "status": "sent",
    "missing_fields": ["due_date"],
    "channel": "email",
    "question_text": "When is it due?",
    "question_language": "en",
    "external_id": "<q1@example.com>",
    "sent_at": _LATER,
    "remind_at": "2026-11-23T16:00:00Z",
    "reminded_at": None,
    "deadline": _DEADLINE,
    "values": {},
    "refused": [],
    "response_id": None,
    "response_received_at": None,
    "late": False,
    "reason": None,
    "ended_at": None,
    "requested_at": _TIME,
    "updated_at": _LATER,
    "position": 131,
}

ROWS: Final[Mapping[str, dict[str, Any]]] = {
    "sources": {
        "id": "invoices",
        **_SOURCE,
        "status": "open",
        "created_at": _TIME,
        "updated_at": _TIME,
        "version": 1,
        "position": 101,
    },
    "record_schemas": {
        "id": "claims",
        "title": "Insurance claim",
        "schema_version": 1,
        "fields": _FIELDS,
        "rules": [],
        "schemas": {"1": _SCHEMA},
        "withdrawn": [],
        "created_at": _TIME,
        "updated_at": _TIME,
        "version": 1,
        "position": 103,
    },
    "records": {
        "id": RECORD,
        "status": "chased",
        "source": "invoices",
        "platform": "email",
        "external_id": "<7@example.org>",
        "conversation": "<7@example.org>",
        "sender": _SENDER,
        "sender_id": "ann@example.org",
        "text": "Please find our invoice attached.",
        "attachments": [_ATTACHMENT],
        "original": None,
        "domain": "financial",
        "domain_confidence": 0.97,
        "language": "en",
        "schema_version": 1,
        "values": {"invoice_number": "7", "total": 1210.5},
        "score": 0.8125,
        "completeness": 0.875,
        "validity": 0.9286,
        "missing": ["due_date"],
        "invalid": [],
        "flags": [_FLAG],
        "duplicate_of": None,
        "answers": None,
        "follow_up": 1,
        "follow_up_status": "waiting",
        "follow_up_deadline": _DEADLINE,
        "parked_stage": None,
        "parked_reason": None,
        "retryable": None,
        "failures": 0,
        "cost": 0.0,
        "processing_seconds": 0.412,
        "sent_at": _SENT,
        "received_at": _TIME,
        "updated_at": _LATER,
        "correlation_id": "c-11",
        "version": 7,
        "position": 131,
    },
    "automations": {
        "id": "scans",
        "name": "Scans",
        "status": "active",
        "trigger": _TRIGGER,
        "actions": _ACTIONS,
        "parallel": False,
        "fired": 12,
        "failed": 0,
        "last_occurrence": "/srv/scans/7.pdf",
        "last_fired_at": _LATER,
        "reason": None,
        "trouble": "FileNotFoundError: [Errno 2] No such file or directory: '/srv/scans'",
        "created_at": _TIME,
        "updated_at": _LATER,
        "version": 13,
        "position": 140,
    },
}

BELONGINGS: Final[Mapping[tuple[str, str], dict[str, Any]]] = {
    ("record_schemas", "versions"): {
        "id": "claims/1",
        "schema_id": "claims",
        "schema_version": 1,
        "schema": _SCHEMA,
        "published_at": _TIME,
        "position": 103,
    },
    ("records", "follow_ups"): FOLLOW_UP,
    ("automations", "firings"): {
        "automation_name": "Scans",
        "id": "scans/13",
        "automation_id": "scans",
        "occurrence": f"{_CONTENT[:40]}",
        "what": "/srv/scans/7.pdf",
        "failed": False,
        "carried": [{"action": "process_document", "outcome": "done", "reference": RECORD, "reason": ""}],
        "time": _LATER,
        "position": 140,
    },
}

SHARE: Final[dict[str, Any]] = {
    "name": "invoices",
    "records": 12,
    "scored": 11,
    "complete": 9,
    "mean_score": 0.91,
    "mean_completeness": 0.93,
    "mean_validity": 0.97,
}
OVERVIEW: Final[dict[str, Any]] = {
    "records": 14,
    "status": {"chased": 2, "completed": 9, "parked": 1, "answer": 2},
    "flags": {"doubtful": 3, "late": 1},
    "domains": [{**SHARE, "name": "financial"}],
    "sources": [SHARE],
    "missing": [{"domain": "financial", "path": "due_date", "records": 2}],
    "follow_ups": {"asked": 5, "open": 2, "overdue": 0, "responded": 2, "timeout": 1, "answer_rate": 0.6667},
}
TREND: Final[dict[str, Any]] = {
    "day": "2026-11-21T00:00:00Z",
    "source": "invoices",
    "domain": "financial",
    "records": 11,
    "mean_score": 0.91,
    "mean_completeness": 0.93,
    "mean_validity": 0.97,
}
TAKEN: Final[dict[str, Any]] = {
    "records": [
        {
            "record_id": RECORD,
            "outcome": "accepted",
            "position": 120,
            "_links": {"self": f"/api/v1/records/{RECORD}"},
        }
    ]
}
