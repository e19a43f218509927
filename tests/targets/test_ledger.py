"""The rules of the process host, pure: what may be done, what a crash leaves, what may be forgotten."""

import os
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import json, structs

from sagas.targets.port import Release, TargetRefused
from sagas.targets.process import ledger, reading
from sagas.targets.process.layout import Layout
from sagas.targets.process.ledger import HostState, Retire, Start, Switch, prune, settle
from sagas.targets.process.output import Lines, ReleaseLog
from sagas.targets.process.reading import last_lines, read_log
from sagas.targets.process.retention import drop_oldest
from sagas.targets.splitter.port import Arm, Route

release = Release("shop")
retire = Retire("s")


def running() -> HostState:
    state = ledger.allocated(HostState(), "a", 20_001)
    state = ledger.started(ledger.starting(state, "s", Start("a", release)), "s", "http://s")
    return ledger.switched(state, "w", Switch("front", {"s": 1}), 20_002, "http://front")


def phase(state: HostState, key: str) -> str | None:
    return state.entries[key].phase if key in state.entries else None


def test_a_start_that_a_crash_cut_off_was_never_there():
    state = ledger.starting(ledger.allocated(HostState(), "a", 1), "s", Start("a", release))
    assert phase(settle(state), "s") is None
    assert settle(state).wanted == ()


def test_a_stop_that_a_crash_cut_off_has_happened():
    state = settle(ledger.stopping(running(), "s"))
    assert (phase(state, "s"), state.wanted) == ("undone", ())


def test_a_retirement_that_a_crash_cut_off_has_happened():
    state = settle(ledger.retiring(running(), "r", retire))
    assert (phase(state, "r"), state.wanted) == ("kept", ())


def test_an_unretirement_that_a_crash_cut_off_has_not_happened():
    retired = ledger.retired(ledger.retiring(running(), "r", retire), "r")
    state = settle(ledger.unretiring(retired, "r", retire))
    assert (phase(state, "r"), state.wanted) == ("kept", ())
    assert ledger.unretired(ledger.unretiring(state, "r", retire), "r", retire).wanted == ("s",)


def test_settling_leaves_what_is_closed():
    assert settle(running()) == running()


def test_the_state_survives_its_file():
    assert json.decode(json.encode(running()), type=HostState) == running()


def test_only_closed_entries_that_nothing_refers_to_are_forgotten():
    state = running()
    for number in range(50):
        state = ledger.buried(state, f"old-{number}")
    kept = prune(state, kept=10)
    assert len(kept.entries) == 10
    assert {"a", "s"} <= set(kept.entries)
    assert "old-49" in kept.entries
    assert (kept.wanted, kept.fronts) == (state.wanted, state.fronts)
    assert prune(kept, kept=10) is kept


def test_intents_under_way_are_never_forgotten():
    state = ledger.stopping(running(), "s")
    for number in range(50):
        state = ledger.buried(state, f"old-{number}")
    assert phase(prune(state, kept=1), "s") == "undoing"


def test_the_port_of_a_release_being_stopped_is_not_freed():
    with pytest.raises(TargetRefused, match="still runs"):
        ledger.freed(ledger.stopping(running(), "s"), "a")


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), max_size=30))
def test_undoing_switches_in_any_order_leaves_the_newest_that_stands(steps: list[tuple[bool, int]]):
    """A front always leads to the newest switch that was done and not undone."""
    state = running()
    for number in range(6):
        state = ledger.allocated(state, f"a{number}", 21_000 + number)
        state = ledger.starting(state, f"s{number}", Start(f"a{number}", release))
        state = ledger.started(state, f"s{number}", "http://s")
    standing: list[int] = []
    for number, (do, which) in enumerate(steps):
        if do:
            state = ledger.switched(state, f"w{number}", Switch("front", {f"s{which}": 1}), 1, "http://front")
            standing.append(number)
        elif standing:
            undone = standing.pop(which % len(standing))
            state = ledger.switched_back(state, f"w{undone}", Switch("front", {"s": 1}))
    expected = f"s{steps[standing[-1]][1]}" if standing else "s"
    assert state.fronts["front"].weights == {expected: 1}


def split() -> HostState:
    """Three releases, and a front that is split over them."""
    state = running()
    for number in (1, 2):
        state = ledger.allocated(state, f"a{number}", 21_000 + number)
        state = ledger.starting(state, f"s{number}", Start(f"a{number}", release))
        state = ledger.started(state, f"s{number}", "http://s")
    switch = Switch("front", {"s2": 5, "s": 90, "s1": 5}, "X-User", "X-Trace")
    return ledger.switched(state, "split", switch, 20_002, "http://front")


def test_a_front_is_routed_as_its_last_switch_says_in_its_order():
    arms = Arm("s2", 21_002, 5), Arm("s", 20_001, 90), Arm("s1", 21_001, 5)
    assert ledger.route(split(), "front") == Route(arms, "X-User", "X-Trace")
    assert split().entries["split"].answer.previous == "s"


def test_a_front_without_a_switch_is_routed_nowhere():
    state = ledger.switched_back(running(), "w", Switch("front", {"s": 1}))
    assert ledger.route(state, "front") == Route()


@pytest.mark.parametrize(
    "end", [lambda state: ledger.stopping(state, "s1"), lambda state: ledger.retiring(state, "r", Retire("s1"))]
)
def test_an_arm_that_is_not_to_run_gets_nothing(end):
    state = end(split())
    assert [arm.key for arm in ledger.route(state, "front").arms] == ["s2", "s"]
    assert state.fronts["front"].weights == {"s2": 5, "s": 90, "s1": 5}


def test_releases_of_a_split_are_not_forgotten():
    state = split()
    for number in range(50):
        state = ledger.buried(state, f"old-{number}")
    assert {"s", "s1", "s2", "a", "a1", "a2"} <= set(prune(state, kept=10).entries)


def test_a_state_from_before_fronts_were_split():
    """It names the one release; asking for its switch in the new form is asking for the same."""
    switch = json.decode(b'{"type":"switch","front":"front","to":"s"}', type=ledger.Operation)
    switched = json.decode(b'{"key":"w","to":"s"}', type=ledger.Switched)
    state = structs.replace(
        running(),
        entries={**running().entries, "w": ledger.Entry("kept", switch)},
        fronts={"front": ledger.FrontRecord(20_002, (switched,))},
    )
    assert state.fronts["front"].weights == {"s": 1}
    assert ledger.route(state, "front") == Route((Arm("s", 20_001, 1),))
    assert ledger.first_answer(state.entries["w"], Switch("front", {"s": 100})) is not None
    for other in (Switch("front", {"t": 100}), Switch("front", {"s": 1, "t": 1}), Switch("other", {"s": 1})):
        with pytest.raises(TargetRefused, match="another effect"):
            ledger.first_answer(state.entries["w"], other)
    assert ledger.switched_back(state, "w", switch).fronts["front"].weights == {}


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=8))
def test_lines_do_not_depend_on_how_the_output_arrives(data: bytes, cuts: list[int]):
    def cut(pieces: list[bytes]) -> list[str]:
        lines = Lines()
        return [text for piece in pieces for text in lines.cut(piece)] + lines.end()

    edges = [0, *sorted(min(edge, len(data)) for edge in cuts), len(data)]
    pieces = [data[start:end] for start, end in pairwise(edges)]
    assert cut(pieces) == cut([data])


def test_a_long_line_without_an_end_is_cut_once():
    lines = Lines()
    texts = [text for _ in range(10) for text in lines.cut(b"x" * 50_000)] + lines.cut(b"\nnext\n")
    assert [len(text) for text in texts] == [65_536 + len(" … (truncated)"), 4]


def test_a_log_stays_within_its_size_and_its_numbers_go_on(tmp_path: Path):
    log = ReleaseLog(tmp_path, "a", size=20_000)
    for number in range(1000):
        log.write("stdout", [f"line {number}"])
    log.close()
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) < 21_000
    kept = read_log(tmp_path, "a", 0, 10_000)
    assert [line.number for line in kept] == list(range(kept[0].number, 1001))
    again = ReleaseLog(tmp_path, "a", size=20_000)
    again.write("stderr", ["after the restart"])
    assert read_log(tmp_path, "a", 1000, 10)[0].number == 1001


def test_logs_of_the_newest_releases_are_kept_and_of_those_that_run(tmp_path: Path):
    layout = Layout(tmp_path)
    for number in range(6):
        ReleaseLog(layout.logs, f"r{number}").close()
        os.utime(layout.logs / f"r{number}.log", (number, number))
        layout.work(f"r{number}").mkdir(parents=True)
    drop_oldest(layout, {"r0"}, kept=2)
    assert sorted(file.name for file in layout.logs.iterdir()) == ["r0.log", "r4.log", "r5.log"]
    assert sorted(file.name for file in (tmp_path / "work").iterdir()) == ["r0", "r4", "r5"]


def test_a_line_that_a_crash_cut_off_costs_no_other(tmp_path: Path):
    log = ReleaseLog(tmp_path, "a")
    log.write("stdout", ["one", "two"])
    with (tmp_path / "a.log").open("ab") as file:
        file.write(b'{"number": 3, "ti')
    log = ReleaseLog(tmp_path, "a")
    log.write("stdout", ["three"])
    assert [line.text for line in read_log(tmp_path, "a", 0, 10)] == ["one", "two", "three"]


def test_any_page_is_what_reading_everything_would_have_given(tmp_path: Path):
    """Across both files, with lines of all lengths, and with lines that crashes cut off."""
    written, log = [], ReleaseLog(tmp_path, "a", size=400_000)
    for number in range(1, 4_000):
        text = f"{number} " + "é" * (number * 7919 % 20_000 if number % 97 == 0 else number % 60)
        log.write("stdout", [text])
        written.append(text)
        if number % 501 == 0:
            log.close()
            with (tmp_path / "a.log").open("ab") as file:
                file.write(b'{"number": 1, "text": "' + b"x" * (number * 10))
            log = ReleaseLog(tmp_path, "a", size=400_000)
    kept = read_log(tmp_path, "a", 0, 10_000)
    assert (tmp_path / "a.1.log").exists()
    assert [line.text for line in kept] == written[kept[0].number - 1 :]
    for after in (0, 1, kept[0].number, *range(kept[0].number, 4_000, 61), 3_998, 3_999, 10_000):
        assert read_log(tmp_path, "a", after, 20) == tuple(line for line in kept if line.number > after)[:20]
    for count in (1, 3, 1_000):
        assert last_lines(tmp_path, "a", count) == list(kept[-count:])


def test_a_follower_reads_a_small_part_of_a_long_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    log = ReleaseLog(tmp_path, "a")
    log.write("stdout", [f"line {number}" for number in range(1, 30_001)])
    decoded = []
    monkeypatch.setattr(reading, "_line", lambda content, read=reading._line: (decoded.append(1), read(content))[1])
    log.write("stdout", ["news"])
    assert [line.text for line in read_log(tmp_path, "a", 30_000, 500)] == ["news"]
    assert ReleaseLog(tmp_path, "a")._last == 30_001
    assert len(decoded) < 1_500


def test_lines_after_a_full_disk_are_whole_again(tmp_path: Path):
    """The disk took a part of what was written: what follows does not continue the line that was cut off."""
    log = ReleaseLog(tmp_path, "a")
    log.write("stdout", ["one"])
    full = log._file

    class Full:
        def write(self, data: bytes) -> int | None:
            log._file = full
            return full.write(data[:-9])

        tell = full.tell

    log._file = Full()
    log.write("stdout", ["two", "three"])
    log.write("stdout", ["four"])
    log.close()
    assert [(line.number, line.text) for line in read_log(tmp_path, "a", 0, 9)] == [(1, "one"), (2, "two"), (4, "four")]
