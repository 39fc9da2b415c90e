"""The long run: python -m differential.run --edits 3000 --seed 1, with warmfork/tests and warmfork/src in PYTHONPATH."""

import argparse
import random
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from differential import shapes
from differential.case import Case, Edit
from differential.edits import KINDS
from differential.reference import Reference
from differential.saving import Editor, render
from differential.shrinking import shrink, signature
from differential.trial import END, Result, first_difference, trial

EDITS_PER_APPLICATION = 12
# Of so many edits after one a real uvicorn is asked, too.
PROOF = 60


class Run:
    """Applications from one seed on, and what came of all edits."""

    def __init__(self, seed: int, layouts: Iterable[str] = (), kinds: Iterable[str] = KINDS, *, is_plain: bool = False) -> None:
        self.results: list[Result] = []
        self.failures: list[tuple[Case, Result]] = []
        self.unequal: list[str] = []
        self._layouts, self._kinds, self._is_plain = tuple(layouts), tuple(kinds), is_plain
        self._seed = seed
        self._until_proof = PROOF // 2
        self.edits = self.proofs = 0

    def application(self, reference: Reference, edits: int = EDITS_PER_APPLICATION) -> None:
        """Do so many edits on the next application."""
        seed, self._seed = self._seed, self._seed + 1
        layout = self._layouts[seed % len(self._layouts)] if self._layouts else None
        model = shapes.make(seed, layout, is_plain=self._is_plain)
        editor = Editor(model, random.Random(seed), self._kinds)  # noqa: S311
        features = {feature for module in model.modules.values() for feature in module.features}
        features |= {data.how for module in model.modules.values() for data in module.reads}
        case = Case(model.layout, render(model), (), seed, (model.framework, *sorted(features)))
        with trial(case, reference) as running:
            start = running.start()
            if start is None:
                return
            self._note(case, start)
            if any(difference.startswith("start") for difference in start.differences):
                return
            done: list[Edit] = []
            for number in range(edits):
                done.append(editor.edit())
                result = running.edit(number, done[-1])
                self.edits += 1
                self._note(replace(case, edits=tuple(done)), result)
                self._until_proof -= 1
                if not self._until_proof:
                    self._until_proof = PROOF
                    self.proofs += 1
                    self.unequal += [f"seed {seed}: {line}" for line in running.check_reference()]
            self._note(replace(case, edits=tuple(done)), Result(edits, END, "ended", tuple(running.stop()), 0))

    def _note(self, case: Case, result: Result) -> None:
        self.results.append(result)
        if result.differences:
            self.failures.append((case, result))

    def table(self) -> str:
        """Return edits and wrong ones by kind, and how they were served."""
        rows: defaultdict[str, list[Result]] = defaultdict(list)
        for result in self.results:
            rows[result.kind].append(result)
        rows["all edits"] = [result for result in self.results if result.kind in KINDS]
        lines = [f"{'kind':24}{'edits':>7}{'wrong':>7}  median s  how"]
        for kind, results in sorted(rows.items(), key=lambda row: (row[0] == "all edits", row[0])):
            wrong = sum(bool(result.differences) for result in results)
            seconds = sorted(result.seconds for result in results)[len(results) // 2]
            ways = ", ".join(f"{way} {count}" for way, count in Counter(result.how for result in results).most_common())
            lines.append(f"{kind:24}{len(results):7}{wrong:7}{seconds:10.2f}  {ways}")
        return "\n".join(lines)


def main() -> int:
    arguments = _parse()
    with Reference() as reference:
        if arguments.replay:
            return _replay(Case.of_json(arguments.replay.read_text()), reference, arguments)
        began, run = time.monotonic(), Run(arguments.seed, arguments.layout, arguments.kind or KINDS, is_plain=arguments.plain)
        seen: Counter[str] = Counter()
        while run.edits < arguments.edits:
            known = len(run.failures)
            run.application(reference)
            for case, result in run.failures[known:]:
                key = f"{result.kind}: {signature(result)}"
                seen[key] += 1
                print(f"WRONG seed {case.seed}, edit {result.number}, {case.layout.name}: {result.kind}")
                print(f"    {result.differences[0]} ({result.how})", flush=True)
                if arguments.keep:
                    arguments.keep.mkdir(parents=True, exist_ok=True)
                    (arguments.keep / f"{case.seed}-{result.number}.json").write_text(case.as_json())
                if seen[key] <= arguments.shrink:
                    print(shrink(case, lambda one: first_difference(one, reference)).describe(), flush=True)
        print(run.table())
        print(f"\n{run.edits} edits from seed {arguments.seed} in {time.monotonic() - began:.0f} s")
        print(f"uvicorn itself was asked {run.proofs} times, and {len(run.unequal)} answers were not as the reference's")
        print("\n".join(run.unequal))
        return 1 if run.failures or run.unequal else 0


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
    parser.add_argument("--shrink", type=int, default=0, metavar="N", help="cut down the first N cases of each signature")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
