import pytest

from sagacity.initialising import initialise_server


@pytest.fixture
async def log(own_nats):
    await own_nats.ready()
    await initialise_server(own_nats.url)
    return own_nats.url
