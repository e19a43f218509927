"""Who asks, from the headers of HTTP or NATS; and the trace the request belongs to."""

from __future__ import annotations

import re
from collections.abc import Mapping

from opentelemetry import trace
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from handlers.command import Caller, Fault, InvalidCommand

_SAFE = re.compile(r"[\x20-\x7e\u00a0-\uffff]{1,200}")
_NAMES = (
    ("actor", "x-actor"),
    ("correlation_id", "x-correlation-id"),
    ("causation_id", "x-causation-id"),
    ("tenant", "x-tenant"),
)
_propagator = TraceContextTextMapPropagator()


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
    return Caller(**given, traceparent=_traceparent(headers.get("traceparent")))


def _traceparent(incoming: str | None) -> str | None:
    """The current span's, as a child of the caller's trace; a malformed header counts as none, as W3C says."""
    if incoming is not None:
        context = trace.get_current_span(_propagator.extract({"traceparent": incoming})).get_span_context()
        if context.is_valid:
            return incoming
    span = trace.get_current_span().get_span_context()
    if not span.is_valid:
        return None
    return f"00-{span.trace_id:032x}-{span.span_id:016x}-{span.trace_flags:02x}"
