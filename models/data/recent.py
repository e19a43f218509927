"""Blobs that were read a moment ago, at hand: what is stored says the same for ever and need not be asked for again."""

from __future__ import annotations

from collections import OrderedDict

from eventstore.blobs import Blobs


class RecentBlobs:
    """At most `size` bytes of them; one that is larger than that is not kept."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._kept: OrderedDict[str, bytes] = OrderedDict()

    async def get(self, blobs: Blobs, hash: str) -> bytes:
        """Raises BlobMissing, LogUnavailable."""
        if hash not in self._kept:
            self._kept[hash] = await blobs.get(hash)
        content = self._kept[hash]
        self._kept.move_to_end(hash)
        while sum(map(len, self._kept.values())) > self._size:
            self._kept.popitem(last=False)
        return content
