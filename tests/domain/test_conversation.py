"""Which question a message answers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.conversation import KEPT, AddMessage, CloseQuestion, Known, Open, conversation, id_of, match
from domain.record import Answers
from eventstore.subjects import is_valid_id


def after(*commands):
    state = Known()
    for command in commands:
        state = conversation.fold(conversation.decide(command, state), state)
    return state


FIRST, SECOND = Open("r1", 1, "q1", "ann"), Open("r2", 1, "q2", "bob")


@pytest.mark.parametrize(
    ("said", "reply_to", "answers"),
    [
        ((), None, None),
        ((), "q1", None),
        ((FIRST,), None, Answers("r1", 1)),
        ((FIRST,), "something else", Answers("r1", 1)),
        ((FIRST, SECOND), None, Answers("r2", 1)),
        ((FIRST, SECOND), "q1", Answers("r1", 1)),
        ((FIRST, SECOND, CloseQuestion("r2", 1)), None, Answers("r1", 1)),
        ((FIRST, CloseQuestion("r1", 1)), None, None),
        ((FIRST, CloseQuestion("r1", 1)), "q1", Answers("r1", 1)),  # late
        ((FIRST, AddMessage("r1", 1, "reminder"), CloseQuestion("r1", 1), SECOND), "reminder", Answers("r1", 1)),
        ((FIRST, CloseQuestion("r1", 1), Open("r1", 2, "q3", "ann")), None, Answers("r1", 2)),
        ((FIRST, CloseQuestion("r1", 1), Open("r1", 2, "q3", "ann")), "q1", Answers("r1", 1)),
    ],
)
def test_a_reply_answers_what_it_replies_to_and_anything_else_what_was_asked_last(said, reply_to, answers):
    assert match(after(*said), reply_to) == answers


def test_where_many_speak_only_who_was_asked_answers():
    """Unless somebody else replies to the very question."""
    state = after(FIRST, SECOND)
    assert match(state, None, "ann") == Answers("r1", 1)
    assert match(state, None, "eve") is None
    assert match(state, "q2", "eve") == Answers("r2", 1)


@pytest.mark.parametrize(
    ("said", "command"),
    [
        ((FIRST,), FIRST),
        ((FIRST,), AddMessage("r1", 1, "q1")),
        ((), AddMessage("r1", 1, "q9")),
        ((), CloseQuestion("r1", 1)),
        ((FIRST, CloseQuestion("r1", 1)), CloseQuestion("r1", 1)),
        ((FIRST, CloseQuestion("r1", 1)), FIRST),  # it stays closed
    ],
)
def test_told_twice_or_of_no_question_nothing_happens(said, command):
    assert conversation.decide(command, after(*said)) == ()


def test_closed_questions_are_forgotten_first():
    many = [Open(f"r{number}", 1, f"q{number}") for number in range(KEPT)]
    state = after(*many, CloseQuestion("r7", 1), Open("last", 1, "q"))
    assert len(state.questions) == KEPT
    assert state.question("r7", 1) is None
    assert state.question("r0", 1) is not None
    state = after(*many, Open("last", 1, "q"))
    assert state.question("r0", 1) is None


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 60), st.sampled_from([Open, AddMessage])), max_size=200)
)
def test_it_never_grows_beyond_what_is_kept(said):
    state = after(*(command(id, number, f"{id}{number}") for id, number, command in said))
    assert len(state.questions) <= KEPT


def test_conversations_of_two_sources_are_two():
    assert id_of("a", "b\nc") != id_of("b", "c")
    assert is_valid_id(id_of("clinic", "chat 🙂"))
