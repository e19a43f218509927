"""A schema made ready for many checks: paths are places, patterns are compiled."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from graphlib import TopologicalSorter
from operator import itemgetter
from typing import Any, NamedTuple

from domain.quality_rules import Holds, holding, said
from domain.quality_values import Checker, checker
from domain.schema import Field, Rule, Schema, Value


class Planned(NamedTuple):
    """`deciders` have the values with which the field applies, None for any; `order` of a plan has them first."""

    path: str
    check: Checker
    required: bool
    weight: float
    deciders: tuple[tuple[int, frozenset[Any] | None], ...]
    follows: tuple[int, ...]


class PlannedRule(NamedTuple):
    places: tuple[int, ...]
    values: Callable[[Sequence[Value]], tuple[Value, ...]]
    holds: Holds
    words: str


class Plan(NamedTuple):
    fields: tuple[Planned, ...]
    rules: tuple[PlannedRule, ...]
    order: tuple[int, ...]


def planned(schema: Schema) -> Plan:
    """Raises ValueError for unknown paths, circles of conditions, and patterns that are not sound."""
    places = {field.path: place for place, field in enumerate(schema.fields)}
    try:
        fields = tuple(_field(field, places) for field in schema.fields)
        rules = tuple(_rule(rule, places) for rule in schema.rules)
    except KeyError as error:
        raise ValueError(f"the schema has no field {error.args[0]}") from error
    graph = {place: [decider for decider, _ in field.deciders] for place, field in enumerate(fields)}
    return Plan(fields, rules, tuple(TopologicalSorter(graph).static_order()))


def _field(field: Field, places: Mapping[str, int]) -> Planned:
    return Planned(
        field.path,
        checker(field),
        field.required,
        field.weight,
        tuple((places[each.path], frozenset(each.values) or None) for each in field.applies_when),
        tuple(places[path] for path in field.follows),
    )


def _rule(rule: Rule, places: Mapping[str, int]) -> PlannedRule:
    at = tuple(places[path] for path in rule.paths)
    return PlannedRule(at, itemgetter(*at), holding(rule), said(rule))
