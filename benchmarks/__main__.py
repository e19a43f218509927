"""python -m benchmarks [append commands catchup load canary drift quality serving workflows] [--quick] [--seed N]

The exit status is 1 when a gate of canary or drift is not met. The goals of the others depend on the machine: what is
missed of them is told, and documented.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import uvloop

from benchmarks import append, canary, catchup, commands, drift, load, quality, serving, workflows
from sagacity.roles import calm_the_collector


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks", description="Speed, beside peers and limits, in one run.")
    parser.add_argument(
        "names",
        nargs="*",
        help="of append, commands, catchup, load, canary, drift, quality, serving, workflows (default: all)",
    )
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    parser.add_argument(
        "--seed", type=int, help="of the simulated canaries, streams and messages (default: a fresh one)"
    )
    options = parser.parse_args()
    rounds = 2 if options.quick else 5
    works = {
        "append": lambda: append.run(rounds, 0.7 if options.quick else 1.5),
        "commands": lambda: commands.run(rounds, 2.0 if options.quick else 5.0),
        "catchup": lambda: catchup.run(2 if options.quick else 3, 40_000 if options.quick else 200_000),
        "load": lambda: load.run(rounds, 50_000 if options.quick else 500_000),
        "serving": lambda: serving.run(max(rounds, 3), 2.0 if options.quick else 4.0),
        "canary": lambda: canary.run(canary.QUICK_RUN if options.quick else canary.FULL_RUN, options.seed),
        "drift": lambda: drift.run(drift.QUICK_RUN if options.quick else drift.FULL_RUN, options.seed),
        "workflows": lambda: workflows.run(workflows.QUICK_RUN if options.quick else workflows.FULL_RUN),
        "quality": lambda: quality.run(quality.QUICK_RUN if options.quick else quality.FULL_RUN, options.seed),
    }
    unknown = [name for name in options.names if name not in works]
    if unknown:
        parser.error(f"there is no benchmark {', '.join(unknown)}")
    calm_the_collector()  # as in every process of Sagacity; the peers in this process have it no worse
    missed = missing({name: works[name] for name in options.names or works})
    if missed:
        sys.exit(f"gates are not met: {', '.join(missed)}")


def missing(works: Mapping[str, Callable[[], Coroutine[Any, Any, bool | None]]]) -> list[str]:
    """Which of these do not meet their gates; all are run. None: there are no gates."""
    return [name for name, work in works.items() if uvloop.run(work()) is False]


if __name__ == "__main__":
    main()
