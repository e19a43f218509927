"""A dataset says the same for ever, until it is discarded."""

from domain.dataset import Discard, Discarded, Register, Registered, dataset
from domain.decider import Refusal

CONTENT, OTHER = "a" * 64, "b" * 64


def register(content=CONTENT):
    return Register("Customers", "upload", content, 4096, 100, "churned", (), 1.0)


def decided(command, *commands):
    state = dataset.initial
    for earlier in commands:
        state = dataset.fold(dataset.decide(earlier, state), state)
    return dataset.decide(command, state)


def test_it_is_registered_once():
    [event] = decided(register())
    assert isinstance(event, Registered)
    assert decided(register(), register()) == ()


def test_other_rows_need_an_id_of_their_own():
    refused = decided(register(OTHER), register())
    assert isinstance(refused, Refusal)
    assert refused.name == "dataset_already_registered"


def test_what_is_discarded_is_discarded_once_and_does_not_come_back():
    assert decided(Discard("wrong labels"), register()) == (Discarded("wrong labels"),)
    assert decided(Discard(), register(), Discard()) == ()
    assert decided(register(), register(), Discard()) == (), "it is there, and stays discarded"


def test_nothing_can_be_discarded_that_is_not_there():
    refused = decided(Discard())
    assert isinstance(refused, Refusal)
    assert refused.name == "dataset_not_found"
