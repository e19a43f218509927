from domain.organization import Describe, Described, Register, Registered, organization
from tests.scenario import Scenario

registered = Registered("Acme", "makes everything", {})


def test_an_organization_is_registered():
    Scenario(organization).when(Register("Acme", "makes everything")).then(registered)


def test_an_id_belongs_to_one_organization():
    Scenario(organization).given(registered).when(Register("Other")).refused("organization_already_registered")


def test_its_description_changes():
    Scenario(organization).given(registered).when(Describe("less", {"tier": "1"})).then(
        Described("less", {"tier": "1"})
    )


def test_describing_it_as_it_is_changes_nothing():
    Scenario(organization).given(registered).when(Describe("makes everything")).nothing_happens()


def test_an_unknown_organization_cannot_be_described():
    Scenario(organization).when(Describe("less")).refused("organization_not_found")
