"""The model that tells domains apart, as an ordinary model: what registers it, and the examples that it begins with."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from domain import dataset, model
from domain.pipeline import Feature, Pipeline
from eventstore.blobs import Blobs

MODEL: Final = "record-domains"
DATASET: Final = "record-domains-examples"
TEXT: Final = "text"
TARGET: Final = "domain"
FEATURES: Final = (Feature(TEXT, "text"),)
PIPELINE: Final = Pipeline("logistic_regression", {"C": 100.0, "fit_intercept": False})
"""Without an intercept, so that a text without any known word is equally likely of every domain. C is where a
cross-validation of the examples levels off."""

LONGEST: Final = 1_000
"""Characters of a text that are read: what a document is about is said at its beginning."""

_FOLDER: Final = Path(__file__).with_name("examples")


class Example(Struct, frozen=True, forbid_unknown_fields=True):
    text: str
    domain: str


@cache
def examples_file() -> bytes:
    """NDJSON, as `POST /datasets` takes it: all shipped examples."""
    return b"".join(file.read_bytes() for file in sorted(_FOLDER.glob("*.ndjson")))


@cache
def examples() -> tuple[Example, ...]:
    return tuple(msgspec.json.decode(line, type=Example) for line in examples_file().splitlines())


@cache
def examples_hash() -> str:
    """The first 12 digits of their SHA-256."""
    return hashlib.sha256(examples_file()).hexdigest()[:12]


def registration(name: str = "Domains of records") -> model.Register:
    """The command for the model `record-domains`."""
    return model.Register(name, FEATURES, TARGET, pipeline=PIPELINE)


async def upload(blobs: Blobs, rows: bytes | None = None) -> dataset.Register:
    """The command for the dataset `record-domains-examples`, whose content is stored now; `rows` (NDJSON) instead of
    the shipped ones. Raises TableInvalid, BlobTooLarge, LogUnavailable."""
    from models.data.datasets import from_file

    found = from_file(examples_file() if rows is None else rows, "ndjson")
    content = await blobs.put(found.content)
    return dataset.Register(
        "Examples of the domains of records",
        "upload",
        content,
        len(found.content),
        found.samples,
        TARGET,
        found.columns,
        found.quality_score,
    )


def read(text: str) -> str:
    """What of a text the model is given."""
    return text[:LONGEST].replace("\0", " ").encode(errors="replace").decode()


def write(folder: Path) -> tuple[Path, Path]:
    """The model (for `sagacity models register`) and its examples (for `sagacity datasets upload`), as files."""
    described, rows = folder / f"{MODEL}.json", folder / f"{DATASET}.ndjson"
    data = msgspec.to_builtins(registration())
    described.write_bytes(
        msgspec.json.encode({name: data[name] for name in ("name", "features", "target", "pipeline")})
    )
    rows.write_bytes(examples_file())
    return described, rows


if __name__ == "__main__":
    import sys

    for file in write(Path(sys.argv[1] if len(sys.argv) > 1 else ".")):
        print(file)
