import pytest

from tests.unit.models.world import World, trained, world


@pytest.fixture(scope="session")
def known_world() -> World:
    return world(4_000)


@pytest.fixture(scope="session")
def artefact(known_world: World) -> bytes:
    return trained(known_world)
