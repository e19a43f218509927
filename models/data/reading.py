"""From the bytes of a file to an Arrow table of numbers (float64) and categories (text), or all that is wrong."""

from __future__ import annotations

from typing import Any, Final

from models.data.csv_file import read_csv
from models.data.faults import Faults
from models.data.formats import Format
from models.data.ndjson_file import read_ndjson
from models.data.parquet_file import read_parquet

_MARK: Final = b"\xef\xbb\xbf"


def read(content: bytes, format: Format) -> Any:
    """Rows count from 1, behind the header line. Raises TableInvalid with every fault that can be known."""
    faults = Faults()
    match format:
        case "csv":
            table = read_csv(_text(content, faults), faults)
        case "ndjson":
            table = read_ndjson(_text(content, faults), faults)
        case "parquet":
            table = read_parquet(content, faults)
    faults.check()
    return table


def _text(content: bytes, faults: Faults) -> bytes:
    """UTF-8 without its byte order mark."""
    if not content.isascii():
        try:
            content.decode()
        except UnicodeDecodeError as error:
            wrong = content[error.start]
            raise faults.stop(f"byte {error.start} (0x{wrong:02x}) is not UTF-8: {error.reason}") from error
    return content.removeprefix(_MARK)
