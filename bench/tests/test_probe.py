"""The probe tells when a server first showed certain code, over a connection that it keeps."""

import sys
import time

import pytest

from bench.pods import PROGRAM, Probe
from bench.tests.replica import Replica, serving
from devenv.failure import Failure


def probe(replica: Replica) -> Probe:
    return Probe("replica", [sys.executable, "-c", PROGRAM, str(replica.server_port)])


def test_tells_when_the_code_was_first_shown() -> None:
    with serving(lambda: "old") as replica, probe(replica) as probing:
        for code in ("new", "newer"):
            replica.asked.clear()
            probing.expect(code, 30)
            assert replica.asked.wait(30)
            before = time.monotonic()
            replica.code = code.__str__
            sighting = probing.sighting()
            assert sighting.served is not None
            assert before < sighting.served < time.monotonic()
            assert sighting.lost == 0
        assert len(replica.ports) == 1


def test_counts_what_was_lost_and_goes_on() -> None:
    with serving(lambda: "new") as replica, probe(replica) as probing:
        replica.losing = 3
        probing.expect("new", 30)
        sighting = probing.sighting()
        assert sighting.served is not None
        assert sighting.lost == 3


def test_tells_that_the_code_did_not_come_in_time() -> None:
    with serving(lambda: "old") as replica, probe(replica) as probing:
        probing.expect("new", 0.1)
        assert probing.sighting().served is None


def test_a_probe_that_ends_is_reported_with_what_it_said() -> None:
    program = "import sys, time; print('{\"clock\": %s}' % time.monotonic(), flush=True); sys.exit('no such pod')"
    with Probe("replica", [sys.executable, "-c", program]) as probing:
        probing.expect("new", 30)
        with pytest.raises(Failure, match="no such pod"):
            probing.sighting()


def test_another_clock_is_refused() -> None:
    probing = Probe("replica", [sys.executable, "-c", "print('{\"clock\": 1.5}')"])
    with pytest.raises(Failure, match="its clock shows"):
        probing.__enter__()
