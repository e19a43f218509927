"""Schemas that come along. Your own ones are published by command (`record_schema.publish`)."""

from __future__ import annotations

from domain.schema import Schema


def builtin() -> tuple[Schema, ...]:
    """Medical, financial, logistics. The models are built when this is asked for first."""
    from records.schemas import financial, logistics, medical

    return (medical.SCHEMA, financial.SCHEMA, logistics.SCHEMA)
