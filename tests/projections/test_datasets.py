"""What the read model says of datasets, on a real log and a real database."""

from datetime import UTC

import pytest_asyncio

from domain import dataset
from domain.dataset import Column
from projections.datasets import datasets
from tests.projections.platform import equals_the_fold, projecting
from tests.projections.stories import accepted, tell

AGE = Column("age", "number", 3, 50, 41.5, 12.25, tuple(float(10 * n) for n in range(11)))
CHURNED = Column("churned", "category", 0, 2, counts={"no": 800, "yes": 200})
UPLOADED = dataset.Register("Customers", "upload", "a" * 64, 4096, 1000, "churned", (AGE, CHURNED), 0.9985)
GENERATED = dataset.Register("Made up", "generated", "b" * 64, 10, 2, None, (AGE,), 1.0, {"seed": 7})


@pytest_asyncio.fixture
async def platform(own_nats, database_url):
    async with projecting(own_nats.url, database_url, (datasets,)) as platform, platform.running():
        yield platform
        await platform.caught_up()
        await equals_the_fold(platform)


async def row(platform, id):
    await platform.caught_up()
    return await platform.models.row("datasets", id)


async def ids(platform, **filters):
    await platform.caught_up()
    return [each.id for each in (await platform.models.rows("datasets", filters=filters)).items]


async def test_a_dataset_is_one_row_with_what_is_known_of_its_columns(platform):
    await tell(platform, "dataset", "customers", UPLOADED)
    found = await row(platform, "customers")
    assert (found.name, found.source, found.samples_count, found.target) == ("Customers", "upload", 1000, "churned")
    assert (found.content, found.size, found.quality_score) == ("a" * 64, 4096, 0.9985)
    assert found.columns == [AGE, CHURNED]
    assert (found.discarded, found.discard_reason, found.metadata) == (False, None, {})
    assert found.hour_generated == found.created_at.astimezone(UTC).hour
    assert (found.version, found.created_at) == (1, found.updated_at)


async def test_a_discarded_dataset_keeps_its_row_and_says_why(platform):
    await tell(platform, "dataset", "customers", UPLOADED)
    before = await row(platform, "customers")
    outcome = await accepted(platform, "dataset.discard", "customers", {"reason": "of the wrong year"})
    after = await row(platform, "customers")
    assert (after.discarded, after.discard_reason, after.version) == (True, "of the wrong year", 2)
    assert (after.columns, after.created_at) == (before.columns, before.created_at)
    assert before.position < after.position < outcome.position


async def test_datasets_are_found_by_where_they_come_from_and_whether_they_are_of_use(platform):
    await tell(platform, "dataset", "customers", UPLOADED)
    await tell(platform, "dataset", "made-up", GENERATED)
    await accepted(platform, "dataset.discard", "customers")
    assert await ids(platform, source="generated") == ["made-up"]
    assert await ids(platform, target="churned") == ["customers"]
    assert await ids(platform, discarded="false") == ["made-up"]
    assert await ids(platform, name="Customers", discarded="true") == ["customers"]
