"""Server-sent events, cut as the HTML standard says."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from sagacity.cli.tailing import Sent, server_sent


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (["id: 7", "event: a.b", "data: {}", ""], [Sent("7", "a.b", "{}")]),
        (["data:no blank", ""], [Sent("", "message", "no blank")]),
        (["data: two", "data: lines", ""], [Sent("", "message", "two\nlines")]),
        ([": a comment", "", "", "id: 1", "data: x", ""], [Sent("1", "message", "x")]),
        (["retry: 100", "unknown", "data: x", ""], [Sent("", "message", "x")]),
        (["id: 1", "data: cut off"], []),
    ],
)
async def test_a_stream_is_cut_into_events(stream: list[str], events: list[Sent]) -> None:
    async def lines() -> AsyncIterator[str]:
        for line in stream:
            yield line

    assert [sent async for sent in server_sent(lines())] == events
