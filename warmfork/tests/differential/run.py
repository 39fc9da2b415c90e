"""Many edits on many applications, and a table of what came of them."""

import random
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import replace

from differential import shapes
from differential.case import Case, Edit
from differential.edits import KINDS
from differential.reference import Reference
from differential.saving import Editor, render
from differential.trial import END, Result, Trial, trial

EDITS_PER_APPLICATION = 16
PROOF = 60


class Run:
    """Applications from one seed on, and what came of all edits."""

    def __init__(
        self,
        seed: int,
        layouts: Iterable[str] = (),
        kinds: Iterable[str] = KINDS,
        *,
        is_plain: bool = False,
        proof: int = PROOF,
    ) -> None:
        """proof: of so many edits after one a real uvicorn is asked, too, first in half the time."""
        self.results: list[Result] = []
        self.failures: list[tuple[Case, Result, str]] = []
        self.unequal: list[str] = []
        self._layouts, self._kinds, self._is_plain = tuple(layouts), tuple(kinds), is_plain
        self._seed = seed
        self._proof, self._until_proof = proof, proof // 2
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
            self._note(case, start, running)
            if any(difference.startswith("start") for difference in start.differences):
                return
            done: list[Edit] = []
            # After a difference the server is started anew, so a case begins there.
            restarted = 0
            for number in range(edits):
                done.append(editor.edit())
                result = running.edit(number, done[-1])
                self.edits += 1
                self._note(replace(case, edits=tuple(done)).starting_at(restarted), result, running)
                if result.differences:
                    restarted = number + 1
                self._until_proof -= 1
                if not self._until_proof:
                    self._until_proof = self._proof
                    self.proofs += 1
                    self.unequal += [f"seed {seed}: {line}" for line in running.check_reference()]
            ended = Result(edits, END, "ended", tuple(running.stop()), 0)
            self._note(replace(case, edits=tuple(done)).starting_at(restarted), ended, running)

    def _note(self, case: Case, result: Result, running: Trial) -> None:
        self.results.append(result)
        if result.differences:
            self.failures.append((case, result, running.former_log))

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
