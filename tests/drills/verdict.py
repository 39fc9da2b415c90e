"""The line that a drill ends with, and the file that keeps its figures for docs/reliability.md."""

from dataclasses import asdict

from bench.results import Results
from devenv import paths
from tests.drills.traffic import Figures

RESULTS = paths.CHECKOUT / ".devenv" / "drills" / "results.csv"
COLUMNS = (
    "drill",
    "fault",
    "load",
    "requests",
    "failed",
    "lost",
    "p50_ms",
    "p95_ms",
    "slowest_ms",
    "outage_s",
    "recovery_s",
)


def give(drill: str, fault: str, load: str, figures: Figures, recovery: float | None = None) -> None:
    """Print the verdict, and keep it. recovery: seconds until all was as before, where that was looked for."""
    print(f"\n{drill}: {figures}" + (f"; recovered after {recovery:.1f} s" if recovery is not None else ""))
    times = {f"{name}_ms": round(asdict(figures)[name] * 1_000) for name in ("p50", "p95", "slowest")}
    row = {"drill": drill, "fault": fault, "load": load, "requests": figures.requests, "failed": figures.failed}
    row |= {"lost": len(figures.lost), **times, "outage_s": round(figures.outage, 1)}
    Results(RESULTS, COLUMNS, append=True).add(row | {"recovery_s": "" if recovery is None else round(recovery, 1)})
