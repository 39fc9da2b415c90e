"""The jobs of a workflow file, one for each combination of its matrix."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import yaml

# What a job and a step may say here; anything else has no equivalent, and must not be passed over in silence.
_JOB_KEYS = {"name", "runs-on", "timeout-minutes", "permissions", "strategy", "env", "steps"}
_STEP_KEYS = {"name", "if", "uses", "with", "run", "env"}


class UnknownError(Exception):
    """A part of the workflow for which there is no equivalent here."""


@dataclass(frozen=True)
class Step:
    """One step. fields: as the file has it."""

    fields: Mapping[str, Any]

    @property
    def name(self) -> str:
        """What GitHub shows for it."""
        first_line: str = self.fields.get("run", "").partition("\n")[0]
        return self.fields.get("name") or self.fields.get("uses", "").partition(" ")[0] or first_line


@dataclass(frozen=True)
class Job:
    """One job with one combination of its matrix. minutes: after which it is ended."""

    name: str
    matrix: Mapping[str, Any]
    env: Mapping[str, str]
    minutes: float
    steps: tuple[Step, ...]


def read(file: Path) -> list[Job]:
    """Return all jobs of the workflow. Raises UnknownError."""
    workflow = yaml.safe_load(file.read_text())
    return [job for key, fields in workflow["jobs"].items() for job in _expand(key, fields, workflow.get("env", {}))]


def _expand(key: str, fields: Mapping[str, Any], env: Mapping[str, str]) -> Iterator[Job]:
    _require_known(fields, _JOB_KEYS, f"job {key}")
    for step in fields["steps"]:
        _require_known(step, _STEP_KEYS, f"a step of job {key}")
    for matrix in _combinations(fields.get("strategy", {}).get("matrix", {})):
        yield Job(
            name="-".join([key, *map(str, list(matrix.values())[:1])]),
            matrix=matrix,
            env={**env, **fields.get("env", {})},
            minutes=fields.get("timeout-minutes", 360),
            steps=tuple(map(Step, fields["steps"])),
        )


def _combinations(matrix: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return those of its lists, and each entry of `include` as one of its own, which is how ours are written."""
    lists = {key: values for key, values in matrix.items() if key != "include"}
    crossed = [dict(zip(lists, values, strict=True)) for values in product(*lists.values())] if lists else []
    return [*crossed, *matrix.get("include", [])] or [{}]


def _require_known(fields: Mapping[str, Any], known: set[str], where: str) -> None:
    if unknown := fields.keys() - known:
        raise UnknownError(f"{where} says {', '.join(sorted(unknown))}, which has no equivalent here")
