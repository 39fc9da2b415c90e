"""What the two commands have in common: their options, and that an interruption loses nothing."""

import argparse
import signal
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from bench import machine
from devenv.failure import Failure

CHECKOUT = Path(__file__).parents[1]
PUBLISHED = CHECKOUT / "docs" / "performance"
UNPUBLISHED = CHECKOUT / ".devenv" / "bench"


def parse_arguments(
    program: str,
    description: str,
    parts: Sequence[str],
    saves: int,
    add_options: Callable[[argparse.ArgumentParser], None] | None = None,
) -> argparse.Namespace:
    """Return the options, with more if some are added; `run` is the moment by which this run's rows are known."""
    parser = argparse.ArgumentParser(prog=f"python -m {program}", description=description)
    parser.add_argument("--only", nargs="+", choices=parts, default=parts, metavar="PART", help=", ".join(parts))
    parser.add_argument(
        "--saves", type=int, default=saves, help="saves of each part, half of them atomic (%(default)s)"
    )
    parser.add_argument("--seed", type=int, default=1, help="of the order, the pauses and the choices (%(default)s)")
    parser.add_argument("--append", action="store_true", help="go on with the rows of an earlier run")
    parser.add_argument(
        "--output", type=Path, help="folder (docs/performance for a run of all parts, .devenv/bench for one of some)"
    )
    if add_options:
        add_options(parser)
    arguments = parser.parse_args()
    arguments.run = datetime.now(UTC).isoformat(timespec="seconds")
    arguments.output = arguments.output or (PUBLISHED if set(arguments.only) == set(parts) else UNPUBLISHED)
    return arguments


def measure_then_report(measure: Callable[[], None], report: Callable[[], None]) -> int:
    """Measure, and report what there is even if that ends early; return the exit status."""
    # Everything that was started is ended on the way out, as after Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    machine.warn_if_busy()
    try:
        measure()
    except KeyboardInterrupt:
        print("\nInterrupted; what was measured is kept.")
        return 130
    except Failure as failure:
        print(failure, file=sys.stderr)
        return 1
    finally:
        report()
    return 0
