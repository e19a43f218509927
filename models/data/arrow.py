"""pyarrow makes most of its functions when it is imported, and has no types: here it gets the one that fits, Any."""

from __future__ import annotations

from typing import Any

import pyarrow
import pyarrow.compute
import pyarrow.csv
import pyarrow.parquet
import pyarrow.types

arrow: Any = pyarrow
compute: Any = pyarrow.compute
csv: Any = pyarrow.csv
parquet: Any = pyarrow.parquet
types: Any = pyarrow.types
