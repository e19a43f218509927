from domain.stack import (
    Configure,
    Configured,
    Known,
    PublishVersion,
    Register,
    Registered,
    ReleaseSpec,
    VersionPublished,
    VersionWithdrawn,
    WithdrawVersion,
    stack,
)
from tests.scenario import Scenario

registered = Registered("shop", "acme", "", {"TZ": "UTC"})
release = ReleaseSpec("python3", ("shop.py",))
published = VersionPublished("1.0", release)


def test_a_stack_is_registered():
    Scenario(stack).when(Register("shop", "acme", configuration={"TZ": "UTC"})).then(registered)


def test_an_id_belongs_to_one_stack():
    Scenario(stack).given(registered).when(Register("other", "acme")).refused("stack_already_registered")


def test_a_version_is_published():
    Scenario(stack).given(registered).when(PublishVersion("1.0", release)).then(published)


def test_publishing_the_same_version_with_the_same_release_changes_nothing():
    Scenario(stack).given(registered, published).when(PublishVersion("1.0", release)).nothing_happens()


def test_a_version_means_the_same_release_for_ever():
    other = PublishVersion("1.0", ReleaseSpec("node"))
    Scenario(stack).given(registered, published).when(other).refused("version_already_published")


def test_a_version_is_withdrawn():
    withdraw = WithdrawVersion("1.0", "leaks")
    Scenario(stack).given(registered, published).when(withdraw).then(VersionWithdrawn("1.0", "leaks"))


def test_a_withdrawn_version_stays_withdrawn():
    given = (registered, published, VersionWithdrawn("1.0", "leaks"))
    Scenario(stack).given(*given).when(WithdrawVersion("1.0", "again")).nothing_happens()
    Scenario(stack).given(*given).when(PublishVersion("1.0", release)).refused("version_withdrawn")


def test_only_a_published_version_can_be_withdrawn():
    Scenario(stack).given(registered).when(WithdrawVersion("9", "why")).refused("version_not_found")


def test_the_configuration_is_replaced():
    Scenario(stack).given(registered).when(Configure({"A": "1"})).then(Configured({"A": "1"}))
    Scenario(stack).given(registered).when(Configure({"TZ": "UTC"})).nothing_happens()


def test_an_unknown_stack_takes_no_versions():
    Scenario(stack).when(PublishVersion("1.0", release)).refused("stack_not_found")


def test_the_state_keeps_what_a_deployment_needs():
    state = stack.fold([registered, published, Configured({"A": "1"})])
    assert isinstance(state, Known)
    assert state.versions == {"1.0": release}
    assert state.configuration == {"A": "1"}
