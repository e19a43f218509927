"""A repository as work items of some files each."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from domain.skill import RetryPolicy
from skills.offline.places import MOST_FILES, Place, files_of
from skills.skill import Context, skill


class Listing(Struct, frozen=True, forbid_unknown_fields=True):
    """Files at `path` whose names end with one of `endings` (none: all), at most `most` of them."""

    path: str
    endings: tuple[str, ...] = (".py",)
    files_per_item: Annotated[int, Meta(ge=1, le=1_000)] = 20
    most: Annotated[int, Meta(ge=1, le=100_000)] = MOST_FILES


class WorkItem(Struct, frozen=True):
    """As `code_review` and other skills take it: names relative to `path`."""

    path: str
    files: tuple[str, ...]


class Listed(Struct, frozen=True):
    """`files` are those of all tasks; `left_out`, how many are too large, or too many."""

    tasks: tuple[WorkItem, ...]
    files: tuple[str, ...]
    left_out: int


@skill(
    "list_files",
    capabilities=("decompose", "files"),
    retry=RetryPolicy(attempts=2),
    effects=False,
)
def list_files(asked: Listing, context: Context) -> Listed:
    """Lists the files of a directory as work items of so many files each, for a review by many. Symbolic links,
    caches, installed packages and the insides of version control are left out."""
    place = files_of(asked.path, context, asked.endings, most=asked.most)
    return Listed(tasks(place, asked.files_per_item), place.files, len(place.unread))


def tasks(place: Place, size: int) -> tuple[WorkItem, ...]:
    parts = (place.files[begin : begin + size] for begin in range(0, len(place.files), size))
    return tuple(WorkItem(str(place.root), part) for part in parts)
