"""What skops writes, written so that the same model is the same bytes; and such archives taken apart with suspicion.

skops numbers objects by their address in memory, names arrays after it, dates the files, and keeps what happens to lie
between the fields of a tree's nodes. Here arrays are named after their content, nothing is numbered or dated, and
between fields is nothing. Nothing is compressed either: bytes would depend on the compressor, and nothing can be
larger than the archive.
"""
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# a skops schema is any JSON, and an array of any type

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final, cast
from zipfile import ZIP_STORED, ZipFile, ZipInfo

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

SCHEMA: Final = "schema.json"
_ADDRESS: Final = "_stop_words_id"
"""What a vectorizer of scikit-learn remembers of where in memory it checked its words."""


def read(content: bytes) -> dict[str, bytes]:
    """Its files by name. Raises ValueError, zipfile.BadZipFile and other errors when it is not one of ours."""
    with ZipFile(io.BytesIO(content)) as archive:
        entries = archive.infolist()
        if len({entry.filename for entry in entries}) < len(entries):
            raise ValueError("two files have one name")
        if any(entry.compress_type != ZIP_STORED for entry in entries):
            raise ValueError("it is compressed")
        if sum(entry.file_size for entry in entries) > len(content):
            raise ValueError("its files are larger than it is")
        files = {entry.filename: archive.read(entry) for entry in entries}
    for name, file in files.items():
        if name.endswith(".npy"):
            _check_array(name, file)
    return files


def write(files: Mapping[str, bytes]) -> bytes:
    """The same files give the same bytes."""
    buffer = io.BytesIO()
    with ZipFile(buffer, "w", compression=ZIP_STORED) as archive:
        for name in sorted(files):
            entry = ZipInfo(name)  # of 1980-01-01
            entry.create_system, entry.external_attr = 3, 0o600 << 16
            archive.writestr(entry, files[name])
    return buffer.getvalue()


def canonical(dumped: bytes) -> dict[str, bytes]:
    """The files of what `skops.io.dumps` returned."""
    files = read(dumped)
    schema = json.loads(files.pop(SCHEMA))
    files = {name: _without_gaps(file) for name, file in files.items()}
    names = {name: f"{hashlib.sha256(array).hexdigest()}.npy" for name, array in files.items()}
    arrays = {names[name]: array for name, array in files.items()}
    for node in nodes(schema):
        node.pop("__id__", None)
        if isinstance(node.get("content"), dict):
            node["content"].pop(_ADDRESS, None)
        if "file" in node:
            node["file"] = names[node["file"]]
    return {SCHEMA: json.dumps(schema, separators=(",", ":")).encode(), **arrays}


def nodes(schema: Any) -> Iterator[dict[str, Any]]:
    """Every object of a schema that stands for one of the model's."""
    waiting = [schema]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            node = cast(dict[str, Any], part)
            if "__loader__" in node or "__class__" in node:
                yield node
            waiting.extend(node.values())
        elif isinstance(part, list):
            waiting.extend(cast(list[Any], part))


def _without_gaps(file: bytes) -> bytes:
    array: NDArray[Any] = np.load(io.BytesIO(file), allow_pickle=False)
    if array.dtype.names is None:
        return file
    clean = np.zeros(array.shape, array.dtype)
    for field in array.dtype.names:
        clean[field] = array[field]
    buffer = io.BytesIO()
    np.save(buffer, clean, allow_pickle=False)
    return buffer.getvalue()


def _check_array(name: str, file: bytes) -> None:
    """It is as long as it says: NumPy would make room for what is not there."""
    source = io.BytesIO(file)
    version = npy.read_magic(source)
    read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, _, type = read_header(source)
    if type.hasobject or any(size < 0 for size in shape):
        raise ValueError(f"{name} is no array of numbers or text")
    count = 1
    for size in shape:
        count *= size
    if count * type.itemsize != len(file) - source.tell():
        raise ValueError(f"{name} is not as long as it says")
