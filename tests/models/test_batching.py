"""Who comes while others are served is served next, together with all who came in the meantime."""

import asyncio

import pytest

from models.serve.batching import Batches
from models.serve.errors import Overloaded


class Served:
    """Answers every question with itself, a batch at a time, as soon as the test lets it."""

    def __init__(self):
        self.batches, self.open = [], asyncio.Event()

    async def answer_all(self, questions):
        self.batches.append(list(questions))
        await self.open.wait()
        return [question if isinstance(question, Exception) else f"{question}!" for question in questions]


@pytest.fixture
def served():
    return Served()


def asking(batches, *questions, rows=1, size=1):
    return [asyncio.ensure_future(batches.ask(question, rows, size)) for question in questions]


async def turns(count=5):
    for _ in range(count):
        await asyncio.sleep(0)


async def test_nobody_waits_for_company_and_who_comes_meanwhile_goes_together(served):
    batches = Batches(served.answer_all, 1_000)
    asked = asking(batches, "a")
    await turns()
    asked += asking(batches, "b")
    await turns()
    asked += asking(batches, "c", "d", "e")
    await turns()
    assert served.batches == [["a"], ["b"]]
    served.open.set()
    assert await asyncio.gather(*asked) == ["a!", "b!", "c!", "d!", "e!"]
    assert served.batches == [["a"], ["b"], ["c", "d", "e"]]


async def test_those_who_are_ready_in_the_same_moment_go_together(served):
    served.open.set()
    assert await asyncio.gather(*asking(Batches(served.answer_all, 1_000), *"abc")) == ["a!", "b!", "c!"]
    assert served.batches == [["a", "b", "c"]]


@pytest.mark.parametrize("measure", [{"rows": 500, "size": 1}, {"rows": 1, "size": 400}])
async def test_a_batch_has_bounded_rows_and_bytes(served, measure):
    served.open.set()
    await asyncio.gather(*asking(Batches(served.answer_all, 1_000), *"abcde", **measure))
    assert served.batches == [["a", "b"], ["c", "d"], ["e"]]


async def test_the_error_of_one_is_not_that_of_the_others(served):
    served.open.set()
    asked = asking(Batches(served.answer_all, 1_000), "a", ValueError("mine"), "c")
    assert [await asked[0], await asked[2]] == ["a!", "c!"]
    with pytest.raises(ValueError, match="mine"):
        await asked[1]


async def test_what_fails_as_a_whole_fails_for_its_batch_alone():
    async def answer_all(questions):
        if "bad" in questions:
            raise RuntimeError("all of it")
        return questions

    batches = Batches(answer_all, 1_000)
    with pytest.raises(RuntimeError):
        await batches.ask("bad", 1, 1)
    assert await batches.ask("good", 1, 1) == "good"


async def test_who_has_gone_is_not_asked_for_and_holds_up_nobody(served):
    batches = Batches(served.answer_all, 1_000)
    asked = asking(batches, "a")
    await turns()
    asked += asking(batches, "b")
    await turns()
    gone, *staying = asking(batches, "gone", "c", rows=600)
    await turns()
    gone.cancel()
    served.open.set()
    await asyncio.gather(*asked, *staying)
    assert served.batches == [["a"], ["b"], ["c"]]


async def test_who_comes_when_too_many_wait_is_told_so(served):
    batches = Batches(served.answer_all, 1_000)
    asked = asking(batches, "a")
    await turns()
    asked += asking(batches, "b")
    await turns()
    asked += asking(batches, "c", rows=60_000)
    await turns()
    with pytest.raises(Overloaded, match="60000 rows are waiting"):
        await batches.ask("d", 60_000, 1)
    served.open.set()
    await asyncio.gather(*asked)
    assert await batches.ask("d", 60_000, 1) == "d!"
