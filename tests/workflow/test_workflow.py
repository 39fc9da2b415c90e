"""The runner of workflows, with small ones; `make workflow` runs ours."""

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from devenv.paths import CHECKOUT
from tests.workflow import __main__ as workflow
from tests.workflow.actions import ACTIONS
from tests.workflow.expressions import fill, holds
from tests.workflow.jobs import Job, UnknownError, read

GITHUB = workflow.WORKFLOWS.parent
HEAD = "jobs:\n  only:\n    runs-on: ubuntu-24.04\n"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    folder.mkdir()
    (folder / "file").write_text("committed\n")
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@localhost"]
    for command in (["init", "--quiet", "--initial-branch=main"], ["add", "."], ["commit", "--quiet", "-m", "x"]):
        subprocess.run([*git, *command], cwd=folder, check=True)
    return folder


def jobs(tmp_path: Path, text: str) -> list[Job]:
    file = tmp_path / "workflow.yml"
    file.write_text(text)
    return read(file)


def run(repository: Path, folder: Path, steps: str) -> bool:
    """Run a job with these steps after the checkout; return whether it succeeded."""
    (job,) = jobs(repository.parent, f"{HEAD}    steps:\n      - uses: actions/checkout@abc\n{steps}")
    revision = ["git", "rev-parse", "HEAD"]
    sha = subprocess.run(revision, cwd=repository, capture_output=True, text=True, check=True).stdout.strip()
    return workflow.run(job, folder, repository, sha)


@pytest.mark.core
def test_steps_run_in_a_fresh_clone_and_an_empty_home(repository: Path, tmp_path: Path) -> None:
    (repository / "file").write_text("not committed\n")
    steps = """
      - run: |
          test "$(cat file)" = committed
          test "$(ls "$HOME")" = ""
          echo "$VALUE ${{ env.VALUE }}" > "$RUNNER_TEMP/said"
        env: {VALUE: here}
"""
    # A step's own variables are none of the context's.
    assert not run(repository, tmp_path / "first", steps)
    assert run(repository, tmp_path / "second", steps.replace(" ${{ env.VALUE }}", " ${{ github.sha }}"))
    assert (tmp_path / "second" / "temporary" / "said").read_text().startswith("here ")


def test_after_a_failure_only_what_asks_for_it_runs(
    repository: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    steps = """
      - run: "false; echo one"
      - run: echo two
      - run: mkdir report && echo three && echo told >> "$GITHUB_STEP_SUMMARY"
        if: failure()
      - uses: actions/upload-artifact@abc
        if: failure()
        with: {name: kept, path: "report\\n~/none"}
"""
    assert not run(repository, tmp_path / "job", steps)
    said = capfd.readouterr().out.splitlines()
    assert "three" in said
    assert "told" in said
    assert not {"one", "two"} & set(said)
    assert (tmp_path / "job" / "artifacts" / "kept" / "report").is_dir()


def test_job_that_takes_too_long_is_ended(repository: Path, tmp_path: Path) -> None:
    (job,) = jobs(
        tmp_path, f"{HEAD}    timeout-minutes: 0.002\n    steps:\n      - run: sleep 600\n      - run: sleep 600\n"
    )
    assert not workflow.run(job, tmp_path / "job", repository, "")


@pytest.mark.parametrize(
    "step", ("uses: actions/unknown@abc", "run: echo ${{ secrets.TOKEN }}", "run: echo ${{ hashFiles('a') }}")
)
def test_step_without_an_equivalent_fails(repository: Path, tmp_path: Path, step: str) -> None:
    assert not run(repository, tmp_path / "job", f"      - {step}\n")


@pytest.mark.parametrize("key", ("needs: other", "services: {}", "container: alpine"))
def test_job_that_says_what_has_no_equivalent_is_refused(tmp_path: Path, key: str) -> None:
    with pytest.raises(UnknownError, match=key.partition(":")[0]):
        jobs(tmp_path, f"{HEAD}    {key}\n    steps: []\n")


def test_one_job_for_each_combination(tmp_path: Path) -> None:
    lists = "    strategy: {matrix: {python: ['3.11', '3.14'], include: [{python: '3.15'}]}}\n    steps: []\n"
    assert [job.name for job in jobs(tmp_path, HEAD + lists)] == ["only-3.11", "only-3.14", "only-3.15"]


def test_values_take_the_place_of_expressions() -> None:
    contexts = {"github": {"sha": "abc"}, "matrix": {"python": "3.12"}}
    assert fill("${{ github.sha }} ${{matrix.python}}", contexts) == "abc 3.12"
    assert fill(False, contexts) == "false"


def test_condition_without_an_equivalent_is_refused() -> None:
    with pytest.raises(UnknownError, match="hashFiles"):
        holds("hashFiles('a') != ''", has_failed=False)


def test_ours_uses_nothing_without_an_equivalent() -> None:
    steps = [step.fields for job in read(workflow.WORKFLOWS / "ci.yml") for step in job.steps]
    used = {step["uses"].partition("@")[0] for step in steps if "uses" in step}
    assert used <= ACTIONS.keys()


def test_protected_branch_waits_for_each_of_our_jobs() -> None:
    ruleset = json.loads((GITHUB / "ruleset.json").read_text())
    (checks,) = [rule["parameters"] for rule in ruleset["rules"] if rule["type"] == "required_status_checks"]
    jobs = yaml.safe_load((workflow.WORKFLOWS / "ci.yml").read_text())["jobs"]
    assert {check["context"] for check in checks["required_status_checks"]} == {job["name"] for job in jobs.values()}


def test_every_folder_has_a_label() -> None:
    listing = subprocess.run(["git", "ls-files"], cwd=CHECKOUT, capture_output=True, text=True, check=True).stdout
    folders = {name.split("/")[0] for name in listing.splitlines() if "/" in name}
    assert folders <= set(re.findall(r"- (\S+)/\*\*", (GITHUB / "labeler.yml").read_text()))
