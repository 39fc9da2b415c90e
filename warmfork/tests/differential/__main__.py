"""The long run: PYTHONPATH=warmfork/tests:warmfork/src python -m differential --edits 3000 --seed 1."""

import argparse
import contextlib
import signal
import sys
import time
from collections import Counter
from pathlib import Path

from differential import shapes
from differential.case import Case
from differential.edits import KINDS
from differential.reference import Reference
from differential.run import Run
from differential.shrinking import shrink, signature
from differential.trial import first_difference


def main() -> int:
    arguments = _parse()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    with Reference() as reference:
        if arguments.replay:
            return _replay(Case.of_json(arguments.replay.read_text()), reference, arguments)
        began = time.monotonic()
        run = Run(arguments.seed, arguments.layout, arguments.kind or KINDS, is_plain=arguments.plain)
        with contextlib.suppress(KeyboardInterrupt):
            _run(run, arguments, reference)
        print(run.table())
        print(f"\n{run.edits} edits from seed {arguments.seed} in {time.monotonic() - began:.0f} s")
        print(
            f"uvicorn itself was asked {run.proofs} times, and {len(run.unequal)} answers were not as the reference's"
        )
        print("\n".join(run.unequal))
        return 1 if run.failures or run.unequal else 0


def _run(run: Run, arguments: argparse.Namespace, reference: Reference) -> None:
    """Go on until there are enough edits, or until Ctrl-C; tell what is wrong at once."""
    seen: Counter[str] = Counter()
    while run.edits < arguments.edits:
        known = len(run.failures)
        run.application(reference)
        for case, result, log in run.failures[known:]:
            key = f"{result.kind}: {signature(result)}"
            seen[key] += 1
            place = f"{case.layout.name}, seed {case.seed}, edit {result.number}"
            print(f"WRONG by {run.edits}: {place}: {result.kind}")
            print(f"    {result.differences[0]} ({result.how})", flush=True)
            if arguments.keep:
                arguments.keep.mkdir(parents=True, exist_ok=True)
                (arguments.keep / f"{case.seed}-{result.number}.json").write_text(case.as_json())
                (arguments.keep / f"{case.seed}-{result.number}.log").write_text(f"{result}\n{log}")
            if seen[key] <= arguments.shrink:
                print(shrink(case, lambda one: first_difference(one, reference)).describe(), flush=True)


def _replay(case: Case, reference: Reference, arguments: argparse.Namespace) -> int:
    if arguments.shrink:
        case = shrink(case, lambda one: first_difference(one, reference))
        arguments.replay.with_suffix(".small.json").write_text(case.as_json())
    print(case.describe(), flush=True)
    result = first_difference(case, reference, print)
    print(result or "right")
    return 1 if result else 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="of the first application; the next has the next")
    parser.add_argument("--edits", type=int, default=3000)
    parser.add_argument("--layout", action="append", choices=list(shapes.LAYOUTS), default=[])
    parser.add_argument("--kind", action="append", choices=list(KINDS), default=[], help="of edits, all by default")
    parser.add_argument("--plain", action="store_true", help="applications that read and start nothing at import")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep failing cases, for --replay")
    parser.add_argument("--replay", type=Path, metavar="CASE", help="run a case that was kept, and show everything")
    parser.add_argument("--shrink", type=int, default=0, metavar="N", help="cut down the first N of each signature")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
