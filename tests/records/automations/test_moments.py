"""Moments of cron expressions, also where the clock is changed."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta, timezone

import pytest

from domain.automation import Scheduler
from records.automations.moments import due, following, occurrences
from tests.records.automations.platform import collected, until


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def moments(cron: str, zone: str, since: str, number: int) -> list[str]:
    found, moment = [], utc(since)
    for _ in range(number):
        moment = following(cron, zone, moment)
        found.append(f"{moment:%m-%d %H:%M}")
    return found


@pytest.mark.parametrize(
    ("cron", "since", "expected"),
    [
        ("0 9 * * *", "2026-03-27 12:00", ["03-28 08:00", "03-29 07:00", "03-30 07:00"]),
        ("0 9 * * *", "2026-10-24 00:00", ["10-24 07:00", "10-25 08:00", "10-26 08:00"]),
        ("30 2 * * *", "2026-03-28 00:00", ["03-28 01:30", "03-29 01:00", "03-30 00:30"]),  # 02:30 is left out
        ("30 2 * * *", "2026-10-24 12:00", ["10-25 00:30", "10-26 01:30"]),  # 02:30 comes twice
        ("*/30 * * * *", "2026-10-25 00:15", ["10-25 00:30", "10-25 01:00", "10-25 01:30", "10-25 02:00"]),
        ("0 9 * * 1-5", "2026-11-20 12:00", ["11-23 08:00"]),
    ],
)
def test_the_hour_is_that_of_the_clock_on_the_wall(cron: str, since: str, expected: list[str]) -> None:
    """Berlin's: an hour forward on 29 March 2026, back on 25 October."""
    assert moments(cron, "Europe/Berlin", since, len(expected)) == expected


def test_without_a_time_zone_the_hour_is_that_of_utc() -> None:
    assert moments("0 9 * * *", "UTC", "2026-03-28 12:00", 2) == ["03-29 09:00", "03-30 09:00"]


class TestWhatIsDue:
    HOURLY = Scheduler("0 * * * *")

    def test_is_the_first_to_come_when_none_was_missed(self) -> None:
        assert due(self.HOURLY, utc("2026-05-01 10:00"), utc("2026-05-01 10:59")) == utc("2026-05-01 11:00")

    def test_is_the_moment_itself_when_it_has_come(self) -> None:
        assert due(self.HOURLY, utc("2026-05-01 10:00"), utc("2026-05-01 11:00")) == utc("2026-05-01 11:00")

    def test_is_only_the_last_one_of_those_that_were_missed(self) -> None:
        assert due(self.HOURLY, utc("2023-05-01 10:00"), utc("2026-05-01 10:30")) == utc("2026-05-01 10:00")

    @pytest.mark.parametrize("cron", ["30 2 * * *", "*/20 * * * *", "15 1-4 * * *"])
    @pytest.mark.parametrize("day", ["2026-03-28", "2026-10-24"])
    def test_is_one_of_the_moments_whenever_it_is_asked_for(self, cron: str, day: str) -> None:
        """Every ten minutes through the change of the clock, each time after all that was dealt with."""
        trigger, begin = Scheduler(cron, "Europe/Berlin"), utc(f"{day} 12:00")
        end = begin + timedelta(days=1)
        wanted, moment = [], following(cron, "Europe/Berlin", begin)
        while moment <= end:
            wanted.append(moment)
            moment = following(cron, "Europe/Berlin", moment)
        found, since = [], begin
        for step in range(24 * 60 // 10 + 1):
            now = begin + timedelta(minutes=10 * step)
            while (each := due(trigger, since, now)) is not None and each <= now:
                found.append(each)
                since = each
        assert found == wanted


class TestAtOneMoment:
    ONCE = Scheduler(at=datetime(2026, 12, 1, 9, tzinfo=timezone(timedelta(hours=1))))

    def test_it_comes_whatever_offset_it_was_told_with(self) -> None:
        assert due(self.ONCE, utc("2026-11-20 10:00"), utc("2026-11-21 10:00")) == utc("2026-12-01 08:00")

    def test_it_is_made_up_for_when_it_was_missed(self) -> None:
        assert due(self.ONCE, utc("2026-11-20 10:00"), utc("2027-01-01 00:00")) == utc("2026-12-01 08:00")

    @pytest.mark.parametrize("since", ["2026-12-01 08:00", "2027-01-01 00:00"])
    def test_nothing_comes_after_it(self, since: str) -> None:
        """It was dealt with, or passed while the rule was paused."""
        assert due(self.ONCE, utc(since), utc("2027-02-01 00:00")) is None


class TestEverySoOften:
    @pytest.mark.parametrize("every", ["15m", "900s", 900])
    def test_it_is_the_first_to_come_when_none_was_missed(self, every: str | int) -> None:
        assert due(Scheduler(every=every), utc("2026-05-01 10:07"), utc("2026-05-01 10:10")) == utc("2026-05-01 10:22")

    def test_it_is_only_the_last_one_of_those_that_were_missed(self) -> None:
        found = due(Scheduler(every="2h"), utc("2026-05-01 10:07"), utc("2026-05-03 11:00"))
        assert found == utc("2026-05-03 10:07")

    def test_it_is_the_moment_itself_when_it_has_come(self) -> None:
        assert due(Scheduler(every="1d"), utc("2026-05-01 10:07"), utc("2026-05-02 10:07")) == utc("2026-05-02 10:07")

    def test_whoever_goes_on_from_a_cursor_comes_to_the_same_moments(self) -> None:
        """Cursors have whole seconds, and rules come into force between two."""
        begin = utc("2026-05-01 10:07") + timedelta(milliseconds=700)
        first = due(Scheduler(every=90), begin, begin)
        assert first == utc("2026-05-01 10:08") + timedelta(seconds=30)
        assert due(Scheduler(every=90), first, first) == first + timedelta(seconds=90)
        assert due(Scheduler(every=90), begin, first + timedelta(seconds=90)) == first + timedelta(seconds=90)


async def test_one_moment_occurs_once_and_then_nothing() -> None:
    at = datetime.now(UTC) - timedelta(minutes=30)
    async with collected(occurrences(Scheduler(at=at), at - timedelta(hours=1))) as found:
        await until(lambda: bool(found))
        await asyncio.sleep(0)
    assert [each.what for each in found] == [at.isoformat(timespec="seconds")]


async def test_an_interval_occurs_again_and_again() -> None:
    since = datetime.now(UTC)
    async with collected(occurrences(Scheduler(every=1), since)) as found:
        await until(lambda: len(found) >= 2)
    begin = since.replace(microsecond=0)
    assert [each.time for each in found[:2]] == [begin + timedelta(seconds=1), begin + timedelta(seconds=2)]


async def test_a_moment_that_passed_is_caught_up_with_once() -> None:
    since = datetime.now(UTC) - timedelta(minutes=30)
    async with collected(occurrences(Scheduler("* * * * *"), since)) as found:
        await until(lambda: bool(found))
    first = found[0]
    assert timedelta(0) <= datetime.now(UTC) - first.time < timedelta(seconds=75)
    assert len(found) <= 2  # the test may stand on the edge of a minute
    assert first.values == {"time": first.cursor}
    assert first.time.second == 0
