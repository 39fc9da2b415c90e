"""After edits of every kind each replica has the files of the checkout, and answers with their code.

`make bench-edits` does the same some hundred times, and tells how long it takes.
"""

import time
from random import Random

import pytest

from bench.equality import follow, logs, observers
from tests.live_update.application import pods
from tests.live_update.developer import FOLDERS_AND_SLOW_SAVES, KINDS, Developer
from tests.live_update.loop import Loop

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

# Those that once left a replica behind come more often.
EDITS = [*KINDS, *FOLDERS_AND_SLOW_SAVES, *FOLDERS_AND_SLOW_SAVES]
SEED = 15
# Seconds.
PATIENCE = 60
MOST_PAUSE = 0.5


@pytest.mark.usefixtures("edits")
def test_every_replica_equals_the_checkout_after_every_edit(loop: Loop) -> None:
    random = Random(SEED)  # noqa: S311 - the same edits each time
    before = pods("backend")
    with Developer.at_work(loop.checkout, random) as developer, observers() as replicas:
        for kind in ["the package added", *random.sample(EDITS, len(EDITS))]:
            began = time.time()
            if kind in KINDS:
                developer.edit(kind)
            # The next edit may come while Tilt still copies this one.
            outcome = follow(replicas, developer, PATIENCE, MOST_PAUSE * random.random())
            if outcome.is_wrong:
                pytest.fail(f"wrong after: {kind}\n{outcome}\n{logs(began)}")
        assert pods("backend") == before
