"""Who asks, from the headers of HTTP or NATS; and the trace the request belongs to."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Final

from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from handlers.command import Caller, Fault, InvalidCommand

_SAFE: Final = re.compile(r"[\x20-\x7e\u00a0-\U0010ffff]{1,200}")
_NAMES: Final = (
    ("actor", "x-actor"),
    ("correlation_id", "x-correlation-id"),
    ("causation_id", "x-causation-id"),
    ("tenant", "x-tenant"),
)
HEADERS: Final = frozenset({*(name for _, name in _NAMES), "traceparent", "tracestate"})
"""All that is read here, in lower case."""

_propagator = TraceContextTextMapPropagator()
_tracer = trace.get_tracer("sagacity")


def span_of(headers: Mapping[str, str], name: str) -> AbstractContextManager[Span]:
    """A span around the work, within the caller's trace; a malformed `traceparent` counts as none, as W3C says."""
    parent = _propagator.extract(headers) if "traceparent" in headers else None
    return _tracer.start_as_current_span(name, context=parent, kind=SpanKind.SERVER, record_exception=False)


def caller_of(headers: Mapping[str, str]) -> Caller:
    """Header names in lower case. Raises InvalidCommand with every unusable header."""
    given: dict[str, str] = {}
    faults: list[Fault] = []
    for field, name in _NAMES:
        value = headers.get(name)
        if value is None or value == "":
            continue
        if not _SAFE.fullmatch(value):
            faults.append(Fault(f"header {name}", "must be 1 to 200 printable characters"))
        given[field] = value
    if faults:
        raise InvalidCommand(faults)
    return Caller(**given, traceparent=_traceparent())


def _traceparent() -> str | None:
    """Of the span around us; None where nothing is traced."""
    span = trace.get_current_span().get_span_context()
    if not span.is_valid:
        return None
    return f"00-{span.trace_id:032x}-{span.span_id:016x}-{span.trace_flags:02x}"
