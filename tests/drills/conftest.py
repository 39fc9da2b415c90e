"""The application that drills are done to: as `make ci` has it, and as `make up` runs it."""

from collections.abc import Iterator

import pytest

from tests.drills import deployment
from tests.drills.deployment import Deployment
from tests.live_update import application
from tests.live_update.loop import running_in_copy

# These start `make up` themselves, for which the cluster has no room beside the others' deployments.
FIRST = ("test_recovery", "test_endurance")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.stem not in FIRST)


@pytest.fixture(scope="session")
def ci() -> Iterator[Deployment]:
    """Return the production images in a namespace of their own."""
    try:
        yield deployment.deploy()
    finally:
        deployment.remove()
        deployment.forget_images()


@pytest.fixture(scope="session")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """Return the application of a running `make up`."""
    with running_in_copy(tmp_path_factory.mktemp("drills")):
        yield deployment.DevelopmentDeployment(application.NAMESPACE)


@pytest.fixture
def deployed(request: pytest.FixtureRequest) -> Deployment:
    """Return the one that the test's parameter names, or else the production images."""
    found: Deployment = request.getfixturevalue(getattr(request, "param", "ci"))
    found.await_rollout()
    return found
