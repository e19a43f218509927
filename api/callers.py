"""Who asks, from the headers of HTTP or NATS; and the trace the request belongs to."""

from __future__ import annotations

import re
from collections.abc import Mapping
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


def span_of(headers: Mapping[str, str], name: str) -> Span:
    """For the work, within the caller's trace; a malformed `traceparent` counts as none, as W3C says. It ends with
    its `with` block."""
    parent = _propagator.extract(headers) if "traceparent" in headers else None
    return _tracer.start_span(name, context=parent, kind=SpanKind.SERVER)


def caller_of(headers: Mapping[str, str], span: Span) -> Caller:
    """Who sent it, as part of this span. Header names in lower case. Raises InvalidCommand with every unusable one."""
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
    return Caller(**given, traceparent=_traceparent(span))


def _traceparent(span: Span) -> str | None:
    """None where nothing is traced."""
    of = span.get_span_context()
    return f"00-{of.trace_id:032x}-{of.span_id:016x}-{of.trace_flags:02x}" if of.is_valid else None
