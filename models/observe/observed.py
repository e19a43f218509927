"""The columns of an outcome's Parquet file that are no features of the model: what was predicted, and what was right.

Besides these, such a file has one column for each feature, by its name. The columns of ids come first, so that they
can be read without the rest; `ACTIVE` and `OTHER` are there only while two versions are compared.
"""

from __future__ import annotations

from typing import Final

LABEL: Final = "__label"
"""The right answer, as it was given."""

PREDICTION: Final = "__prediction"
"""The answer that was given, by the version `VERSION`."""

VERSION: Final = "__version"
WRONG: Final = "__wrong"
"""1.0 where `PREDICTION` is not `LABEL`, else 0.0."""

ID: Final = "__id"
"""Of the prediction: `<batch>.<row>`."""

ACTIVE: Final = "__active"
"""What the version in use says of this row; missing in rows that do not count in the comparison."""

OTHER: Final = "__other"
"""What the version beside it says; missing likewise."""

RESERVED: Final = frozenset({LABEL, PREDICTION, VERSION, WRONG, ID, ACTIVE, OTHER})
