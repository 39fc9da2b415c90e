"""Runs a workflow without GitHub: every job, one after another, step by step, in a fresh clone of the last commit.

Each job has an empty home and what a hosted runner brings (runner.py); steps that `run` something run as they are, and
of those that `use` an action the equivalent runs (actions.py). A step without an equivalent fails. A job deletes the
cluster that it has made, so none may be there before.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from devenv import cluster, engine, paths
from devenv.failure import Failure
from devenv.process import output
from tests.workflow.actions import use
from tests.workflow.expressions import Contexts, fill, holds
from tests.workflow.jobs import Job, Step, UnknownError, read
from tests.workflow.runner import BROUGHT, Runner

WORKFLOWS = paths.CHECKOUT / ".github" / "workflows"


def main() -> int:
    parser = argparse.ArgumentParser(prog="make workflow", description=__doc__)
    parser.add_argument("--file", default="ci.yml", help="of .github/workflows; ci.yml by default")
    parser.add_argument("jobs", nargs="*", help="some of its jobs; all by default")
    arguments = parser.parse_args()
    try:
        jobs = choose(read(WORKFLOWS / arguments.file), arguments.jobs)
        require_machine()
    except (Failure, UnknownError) as error:
        print(error, file=sys.stderr)
        return 1
    folder = Path(tempfile.mkdtemp(prefix="workflow-"))
    # As a runner's home.
    folder.chmod(0o755)
    sha = output(["git", "rev-parse", "HEAD"], cwd=paths.CHECKOUT)
    failed = [job.name for job in jobs if not run(job, folder / job.name, paths.CHECKOUT, sha)]
    if failed:
        print(f"\n{len(failed)} of {len(jobs)} jobs failed: {', '.join(failed)}. Their folders are in {folder}.")
        return 1
    shutil.rmtree(folder)
    print(f"\n{len(jobs)} jobs passed.")
    return 0


def choose(jobs: Sequence[Job], names: Sequence[str]) -> list[Job]:
    """Return those with the names. Raises UnknownError for a name that none has."""
    known = {job.name for job in jobs}
    if unknown := set(names) - known:
        raise UnknownError(f"there is no job {', '.join(sorted(unknown))}, but {', '.join(sorted(known))}")
    return [job for job in jobs if not names or job.name in names]


def require_machine() -> None:
    """Raise Failure where this machine lacks what a runner brings, or has a cluster that a job would delete."""
    engine.ensure()
    if missing := [name for name in BROUGHT if not shutil.which(name)]:
        raise Failure(", ".join(missing), "a hosted runner brings it, and this machine has none", "install it")
    if cluster.exists():
        raise Failure(
            "the loop's cluster", "it is here, and the jobs would use and delete it", "make backup, then make clean"
        )


def run(job: Job, folder: Path, repository: Path, sha: str) -> bool:
    """Run all steps of a job on the repository's commit; return whether none failed."""
    print(f"\n=== {job.name}", flush=True)
    runner = Runner(folder, repository, sha)
    contexts = {"github": {"sha": sha}, "matrix": job.matrix}
    env = {name: fill(value, contexts) for name, value in job.env.items()}
    late = threading.Event()

    def cancel() -> None:
        late.set()
        runner.cancel()

    timer = threading.Timer(job.minutes * 60, cancel)
    timer.start()
    has_failed = False
    try:
        for step in job.steps:
            if late.is_set() or not holds(step.fields.get("if", ""), has_failed=has_failed):
                continue
            has_failed |= not perform(step, runner, {**contexts, "env": env}, env)
    finally:
        timer.cancel()
        runner.end()
    if late.is_set():
        print(f"{job.name}: ended after {job.minutes} minutes, its time limit")
    if summary := runner.summary.read_text():
        print(f"--- summary of {job.name}\n{summary}", flush=True)
    return not has_failed and not late.is_set()


def perform(step: Step, runner: Runner, contexts: Contexts, env: dict[str, str]) -> bool:
    """Run one step; return whether it succeeded."""
    print(f"--- {step.name}", flush=True)
    began = time.monotonic()
    try:
        own = {name: fill(value, contexts) for name, value in step.fields.get("env", {}).items()}
        if "run" in step.fields:
            runner.script(fill(step.fields["run"], contexts), {**env, **own})
        else:
            given = {key: fill(value, contexts) for key, value in step.fields.get("with", {}).items()}
            use(step.fields["uses"].partition("@")[0], runner, given)
    except (UnknownError, subprocess.CalledProcessError) as error:
        print(f"FAILED after {time.monotonic() - began:.0f} s: {error}", flush=True)
        return False
    print(f"ok, {time.monotonic() - began:.0f} s", flush=True)
    return True


if __name__ == "__main__":
    sys.exit(main())
