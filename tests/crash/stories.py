"""The rollouts that are hit: what is asked for, how it ends, and every moment at which its saga writes."""

from typing import Any, NamedTuple

ANALYSIS = {"interval": 0.1, "latency_quantiles": [], "negligible": 0.2, "mistakes": 4}
CANARY = {
    "kind": "canary",
    "steps": [{"weight": 10, "requests": 0}, {"weight": 50, "requests": 1000}, {"weight": 50}],
    "analysis": ANALYSIS,
}
WATCHED = "canary-2"
"""The step at which visitors come: before, the canary goes on without evidence, so that each look has one outcome."""


class Story(NamedTuple):
    """`boundaries` in order of an undisturbed run; those of looks may come several times."""

    version: str
    outcome: str
    boundaries: tuple[str, ...]
    strategy: Any = "switch_over"
    instances: int = 1


def step(name: str, *keys: str) -> tuple[str, ...]:
    """The writes of a step with these effects, or with none."""
    *first, last = keys or ("",)
    done = f"kept {last}; done {name}" if last else f"done {name}"
    return (f"begin {name}", *(f"kept {key}" for key in first), done)


def undone(*keys: str) -> tuple[str, ...]:
    return (*(f"undone {key}" for key in keys), "compensated")


UP = (*step("validate"), *step("allocate", "allocate"), *step("start", "start"))
BASELINE = (*step("baseline", "allocate-b", "start-b"), *step("baseline-health"))
FIRST_LOOK = (
    "begin canary-1",
    "kept switch-1-c",
    "judged canary-1 advance",
    "heard canary-1 advance; done canary-1",
    "begin canary-2",
    "kept switch-2-c",
    "judged canary-2 continue",
    "heard canary-2 continue",
)
STORIES = {
    "good": Story(
        "good",
        "completed",
        ("started", *UP, *step("health"), *step("switch", "switch"), *step("retire", "retire"), "completed"),
    ),
    "sick": Story(
        "sick",
        "rolled_back",
        ("started", *UP, "begin health", "failed health; turn back", *undone("start", "allocate")),
    ),
    "promoted": Story(
        "good",
        "completed",
        (
            "started",
            *UP,
            *step("health"),
            *BASELINE,
            *FIRST_LOOK,
            "judged canary-2 promote",
            "heard canary-2 promote; done canary-2; skip canary-3",
            *step("switch", "switch"),
            *step("retire", "retire-b", "retire"),
            "completed",
        ),
        CANARY,
    ),
    "wrong": Story(
        "wrong",
        "rolled_back",
        (
            "started",
            *UP,
            *step("health"),
            *BASELINE,
            *FIRST_LOOK,
            "judged canary-2 roll_back",
            "heard canary-2 roll_back; failed canary-2; turn back",
            *undone("switch-2-c", "switch-1-c", "start-b", "allocate-b", "start", "allocate"),
        ),
        CANARY,
    ),
    "rolling": Story(
        "good",
        "completed",
        (
            "started",
            *step("validate"),
            *(
                write
                for number, suffix in ((1, ""), (2, "-2"))
                for write in (
                    *step(f"allocate-{number}", f"allocate{suffix}"),
                    *step(f"start-{number}", f"start{suffix}"),
                    *step(f"health-{number}"),
                    *step(f"switch-{number}", f"switch-{number}-r"),
                    *step(f"retire-{number}", f"retire{suffix}"),
                )
            ),
            "completed",
        ),
        "rolling",
        2,
    ),
    "blue_green": Story(
        "good",
        "completed",
        (
            "started",
            *UP,
            *step("health"),
            *step("switch", "switch"),
            *step("keep"),
            *step("keep-health"),
            *step("retire", "retire"),
            "completed",
        ),
        {"kind": "blue_green", "keep": 0.5},
    ),
}
