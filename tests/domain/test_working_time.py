"""Deadlines in hours of work: nights, weekends, holidays, and the days on which the clocks change."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from domain.source import Calendar
from domain.working_time import FARTHEST, CalendarUnknown, working_deadline, working_hours
from records.chase.holidays import holidays_of

ALWAYS = (0, 1, 2, 3, 4, 5, 6)
ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",  # half an hour of summer time
    "Asia/Kathmandu",  # 5:45 ahead
    "America/Havana",  # the clocks change at midnight
    "Africa/Casablanca",  # summer time all year but for Ramadan
    "Pacific/Apia",  # skipped the 30th of December 2011
    "Pacific/Kiritimati",  # 14 hours ahead
]


def at(text, zone):
    """A local time, such as `2026-03-27 15:00`; of one that comes twice the first."""
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))


def local(moment, zone):
    return moment.astimezone(ZoneInfo(zone)).strftime("%Y-%m-%d %H:%M")


@pytest.mark.parametrize(
    ("start", "hours", "due"),
    [
        ("2026-11-18 10:00", 2, "2026-11-18 12:00"),
        ("2026-11-18 15:00", 2, "2026-11-18 17:00"),  # not the next morning
        ("2026-11-18 15:00", 3, "2026-11-19 10:00"),
        ("2026-11-18 03:00", 1, "2026-11-18 10:00"),
        ("2026-11-18 20:00", 1, "2026-11-19 10:00"),
        ("2026-11-20 16:00", 2, "2026-11-23 10:00"),  # over a weekend
        ("2026-11-21 12:00", 8, "2026-11-23 17:00"),
        ("2026-11-18 09:00", 24, "2026-11-20 17:00"),
        ("2026-11-18 09:00", 0.25, "2026-11-18 09:15"),
        ("2026-11-18 18:00", 0, "2026-11-19 09:00"),
    ],
)
@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/New_York"])
def test_work_is_done_by_day_and_not_at_weekends(zone, start, hours, due):
    calendar = Calendar(time_zone=zone)
    assert local(working_deadline(at(start, zone), hours, calendar, ()), zone) == due


def test_where_the_question_is_sent_from_does_not_matter():
    """Friday evening in New York is Saturday in Tokyo."""
    asked = at("2026-11-20 19:00", "America/New_York")
    assert local(working_deadline(asked, 1, Calendar("Asia/Tokyo"), ()), "Asia/Tokyo") == "2026-11-23 10:00"


def test_a_week_may_be_any_days():
    sunday_to_thursday = Calendar("Asia/Dubai", days=(6, 0, 1, 2, 3))
    due = working_deadline(at("2026-11-19 16:00", "Asia/Dubai"), 2, sunday_to_thursday, ())
    assert local(due, "Asia/Dubai") == "2026-11-22 10:00"


def test_half_hours_open_and_close():
    calendar = Calendar(opens=8.5, closes=12.25)
    due = working_deadline(at("2026-11-18 08:00", "UTC"), 4, calendar, ())
    assert local(due, "UTC") == "2026-11-19 08:45"


class TestWhenTheClocksChange:
    """In Berlin they are put forward from 2 to 3 on the 29th of March 2026, and back from 3 to 2 on the 25th of
    October; in New York on the 8th of March and the 1st of November."""

    ROUND_THE_CLOCK = {"days": ALWAYS, "opens": 0, "closes": 24}

    def test_office_hours_stay_where_the_clock_on_the_wall_has_them(self):
        """Four hours on Friday and four on Monday: 65 hours lie between them, not 66."""
        berlin = Calendar("Europe/Berlin")
        asked = at("2026-03-27 13:00", "Europe/Berlin")
        due = working_deadline(asked, 5, berlin, ())
        assert local(due, "Europe/Berlin") == "2026-03-30 10:00"
        assert due - asked == timedelta(hours=68)

    @pytest.mark.parametrize(
        ("zone", "start", "due"),
        [
            ("Europe/Berlin", "2026-03-28 12:00", "2026-03-29 13:00"),
            ("Europe/Berlin", "2026-10-24 12:00", "2026-10-25 11:00"),
            ("America/New_York", "2026-03-07 12:00", "2026-03-08 13:00"),
            ("America/New_York", "2026-10-31 12:00", "2026-11-01 11:00"),
            ("Australia/Lord_Howe", "2026-04-04 12:00", "2026-04-05 11:30"),
            ("America/Havana", "2026-03-07 12:00", "2026-03-08 13:00"),
        ],
    )
    def test_24_hours_round_the_clock_are_24_hours(self, zone, start, due):
        calendar = Calendar(zone, **self.ROUND_THE_CLOCK)
        assert local(working_deadline(at(start, zone), 24, calendar, ()), zone) == due

    def test_a_night_shift_is_an_hour_shorter_or_longer(self):
        night = Calendar("Europe/Berlin", days=ALWAYS, opens=1, closes=5)
        for day, worked in (("2026-03-28", 4), ("2026-03-29", 3), ("2026-10-25", 5)):
            start = at(f"{day} 00:00", "Europe/Berlin")
            end = at(f"{day} 12:00", "Europe/Berlin")
            assert working_hours(start, end, night, ()) == worked

    def test_hours_that_are_skipped_are_not_worked(self):
        nobody = Calendar("Europe/Berlin", days=ALWAYS, opens=2, closes=3)
        due = working_deadline(at("2026-03-28 12:00", "Europe/Berlin"), 1, nobody, ())
        # What begins at two begins an hour later, when it is closed already.
        assert local(due, "Europe/Berlin") == "2026-03-30 03:00"

    def test_work_that_closes_in_an_hour_that_comes_twice_closes_the_second_time(self):
        calendar = Calendar("Europe/Berlin", days=ALWAYS, opens=1, closes=2.5)
        start = at("2026-10-25 00:00", "Europe/Berlin")
        assert working_hours(start, start + timedelta(hours=12), calendar, ()) == 2.5

    def test_a_day_that_a_zone_has_skipped_is_not_worked_twice(self):
        apia = Calendar("Pacific/Apia", days=ALWAYS, opens=9, closes=17)
        start, end = at("2011-12-29 00:00", "Pacific/Apia"), at("2012-01-01 00:00", "Pacific/Apia")
        assert working_hours(start, end, apia, ()) == 16, "on the 29th and the 31st"


class TestHolidays:
    @pytest.mark.parametrize(
        ("calendar", "start", "due"),
        [
            (Calendar("Europe/Berlin", "DE"), "2026-12-24 16:00", "2026-12-28 10:00"),
            (Calendar("Europe/Berlin", "DE", "BY"), "2026-01-05 16:00", "2026-01-07 10:00"),  # Epiphany
            (Calendar("Europe/Berlin", "DE", "BE"), "2026-01-05 16:00", "2026-01-06 10:00"),
            (Calendar("Europe/Paris", "FR"), "2026-07-13 16:00", "2026-07-15 10:00"),
            (Calendar("America/New_York", "US"), "2026-11-25 16:00", "2026-11-27 10:00"),
            (Calendar("Asia/Tokyo", "JP"), "2026-05-01 16:00", "2026-05-07 10:00"),  # the Golden Week
            (Calendar("Europe/London"), "2026-12-24 16:00", "2026-12-25 10:00"),
        ],
        ids=lambda value: f"{value.country}-{value.subdivision}" if isinstance(value, Calendar) else None,
    )
    def test_nobody_works_on_them(self, calendar, start, due):
        asked = at(start, calendar.time_zone)
        assert local(working_deadline(asked, 2, calendar, holidays_of(calendar)), calendar.time_zone) == due

    def test_those_of_the_next_year_count_as_well(self):
        calendar = Calendar("Europe/Berlin", "DE")
        asked = at("2026-12-31 16:00", "Europe/Berlin")
        assert local(working_deadline(asked, 2, calendar, holidays_of(calendar)), "Europe/Berlin") == "2027-01-04 10:00"

    def test_any_collection_of_dates_will_do(self):
        due = working_deadline(at("2026-11-18 16:00", "UTC"), 2, Calendar(), {date(2026, 11, 19)})
        assert local(due, "UTC") == "2026-11-20 10:00"

    @pytest.mark.parametrize("calendar", [Calendar(country="XX"), Calendar(country="DE", subdivision="ZZ")])
    def test_a_country_that_does_not_exist_is_not_taken_for_one_without_holidays(self, calendar):
        with pytest.raises(CalendarUnknown, match="no holidays are known"):
            holidays_of(calendar)


@pytest.mark.parametrize("zone", ["Mars/Olympus", "", "../etc/passwd", "Europe"])
def test_a_zone_that_does_not_exist_is_named(zone):
    with pytest.raises(CalendarUnknown, match="there is no time zone"):
        working_deadline(datetime(2026, 1, 1, tzinfo=UTC), 1, Calendar(zone), ())


def test_where_hardly_anybody_works_it_is_due_after_ten_years():
    a_minute_on_mondays = Calendar(days=(0,), opens=9, closes=9 + 1 / 60)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    assert working_deadline(start, 2_000, a_minute_on_mondays, ()) == start + FARTHEST


class _Every:
    def __contains__(self, day):
        return True


def test_where_every_day_is_a_holiday_too():
    start = datetime(2026, 1, 1, tzinfo=UTC)
    assert working_deadline(start, 1, Calendar(), _Every()) == start + FARTHEST


calendars = st.builds(
    Calendar,
    time_zone=st.sampled_from(ZONES),
    country=st.sampled_from([None, "DE", "US", "JP"]),
    days=st.sets(st.integers(0, 6), min_size=1).map(tuple),
    opens=st.sampled_from([0, 1, 2, 2.5, 8.75, 9, 20]),
    closes=st.sampled_from([3, 12.5, 17, 23.75, 24]),
)
moments = st.datetimes(datetime(2011, 1, 1), datetime(2036, 1, 1)).map(lambda each: each.replace(tzinfo=UTC))
amounts = st.floats(0.01, 200)


@settings(max_examples=120, deadline=None)
@given(moments, amounts, amounts, calendars)
def test_the_hours_until_a_deadline_are_those_that_were_given(start, hours, more, calendar):
    """For any zone, week and moment: what lies between is what was asked for; more hours are due later; and what is
    left of a deadline on its way to it is due at the same moment."""
    assume(calendar.opens < calendar.closes)
    free = holidays_of(calendar)
    due = working_deadline(start, hours, calendar, free)
    assert working_hours(start, due, calendar, free) == pytest.approx(hours, abs=1e-5)
    later = working_deadline(start, hours + more, calendar, free)
    assume(later < start + FARTHEST)
    assert start <= due < later
    between = start + (later - start) / 2
    left = working_hours(between, later, calendar, free)
    assert abs(working_deadline(between, left, calendar, free) - later) < timedelta(milliseconds=1)


@settings(max_examples=40, deadline=None)
@given(moments, amounts, calendars)
def test_a_deadline_is_within_the_hours_of_work(start, hours, calendar):
    assume(calendar.opens < calendar.closes)
    free = holidays_of(calendar)
    due = working_deadline(start, hours, calendar, free).astimezone(ZoneInfo(calendar.time_zone))
    just_before = due.astimezone(UTC) - timedelta(seconds=1)
    worked = working_hours(just_before, due, calendar, free)
    assert worked == pytest.approx(1 / 3_600, abs=1e-6)
