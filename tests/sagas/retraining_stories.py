"""The retrainings that are hit: how they end, every moment at which their saga writes, and what happens around it."""

from tests.crash.boundaries import boundary

TRAINED = (
    "started",
    "begin assemble; done assemble",
    "begin train",
    "kept train; done train",
    "begin evaluate",
    "done evaluate",
    "begin shadow; kept shadow",
)
PROMOTED = (
    *TRAINED,
    "heard shadow better; undone shadow; done shadow",
    "begin promote; kept promote; done promote",
    "begin watch; kept watch",
)
STORIES = {
    "promoted": (*PROMOTED, "heard watch worse; undone watch; done watch", "completed"),
    "discarded": (
        *TRAINED,
        "heard shadow worse; failed shadow; turn back",
        "undone shadow",
        "undone train",
        "compensated",
    ),
    "rolled_back": (
        *PROMOTED,
        "heard watch better; failed watch; turn back",
        "undone watch",
        "undone promote",
        "undone train",
        "compensated",
    ),
}
CHANGES = {
    "promoted": [("Promoted", None, "1"), ("Promoted", "1", "2")],
    "discarded": [("Promoted", None, "1")],
    "rolled_back": [("Promoted", None, "1"), ("Promoted", "1", "2"), ("RolledBack", "2", "1")],
}


async def second_version(story, outcome):
    """What happens around the saga until it has ended, whether it runs or not."""
    inverted = outcome == "rolled_back"
    await story.second(inverted=outcome != "promoted")
    await story.under_way(2, "shadow")
    await story.compare("shadow", inverted=inverted)
    if outcome != "discarded":
        await story.under_way(2, "watch")
        await story.compare("watch", rows=1_000 if outcome == "promoted" else 400)
    await story.outcome(2)


async def assert_right_end(story, outcome):
    """Settled everywhere, everything once, in the order of an undisturbed run."""
    id = f"{story.name}-2"
    await story.assert_settled(2, outcome, active="2" if outcome == "promoted" else "1")
    assert await story.promotions() == CHANGES[outcome]
    written = [boundary(id, [event]) for event in await story.events("saga", f"retraining-{id}")]
    assert [each for each in written if each] == [part for each in STORIES[outcome] for part in each.split("; ")]
