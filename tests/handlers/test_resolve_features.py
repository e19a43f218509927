"""Features that commands name: all must be there, values as they say, and none made from itself."""

import pytest

from domain.decider import Refusal
from domain.entity import RecordFeatures, entity
from domain.feature import Define, Defined, Derive, Derived, FreshnessRequirements, feature
from domain.feature_rules import ValidationRules
from handlers.resolve import Part, resolve
from tests.domain.test_entity import noon

anything = FreshnessRequirements(), ValidationRules()
states = {
    "spend": [Defined("number", "", FreshnessRequirements(), ValidationRules(minimum=0.0))],
    "tier": [Defined("category", "", FreshnessRequirements(), ValidationRules(allowed=("gold", "silver")))],
    "score": [Defined("number", "", *anything), Derived(("spend", "tier"), "product", {}, ())],
    "rank": [Defined("number", "", *anything), Derived(("score",), "order", {}, ())],
}


async def resolved(decider, id, command):
    async def load(decider, id):
        return decider.fold(states.get(id, ()))

    return await resolve(decider, id, command, load)


async def test_right_values_of_known_features_are_recorded():
    record = RecordFeatures({"spend": 1.0, "tier": None}, noon)
    assert await resolved(entity, "ann", record) == [Part(entity, "ann", record)]


@pytest.mark.parametrize(
    ("values", "refusal"),
    [
        ({"spend": -1.0, "a": 1.0, "b": 2.0}, Refusal("features_not_found", "there is no feature a, b")),
        (
            {"spend": -1.0, "tier": "tin", "score": "high"},
            Refusal("values_invalid", "spend is below 0; tier is none of those allowed; score is no number"),
        ),
    ],
)
async def test_wrong_names_and_wrong_values_are_refused_all_at_once(values, refusal):
    assert await resolved(entity, "ann", RecordFeatures(values, noon)) == refusal


async def test_a_feature_may_be_made_from_others():
    derive = Derive(("spend", "tier"), "sum")
    assert await resolved(feature, "rank", derive) == [Part(feature, "rank", derive)]


@pytest.mark.parametrize(
    ("id", "upstream", "refusal"),
    [
        ("rank", ("spend", "x", "y"), Refusal("features_not_found", "there is no feature x, y")),
        ("spend", ("spend",), "lineage_circular"),
        ("spend", ("rank",), "lineage_circular"),
    ],
)
async def test_what_is_not_there_and_circles_are_refused(id, upstream, refusal):
    found = await resolved(feature, id, Derive(upstream, "sum"))
    assert refusal in (found, found.name)


async def test_no_feature_is_called_as_the_path_to_all_values_is():
    define = Define("number")
    assert (await resolved(feature, "values", define)).name == "name_reserved"
    assert await resolved(feature, "value", define) == [Part(feature, "value", define)]
