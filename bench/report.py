"""What people see of a measurement: tables in Markdown, and a plot."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from bench.summary import percentile, spell

# Each is legible on a white and on a black page.
INK, QUIET, ACCENT = "#7a828c", "#8b949e", "#e8590c"
# Inches.
WIDTH, ROW_HEIGHT, PANEL_HEIGHT = 9, 0.36, 0.9
# A strip's dots lie within this part of its row.
SPREAD = 0.28
# Repeats only after as many dots, so that neighbours in time are no neighbours on the plot.
GOLDEN = 0.6180339887


@dataclass(frozen=True)
class Strip:
    """The latencies of one kind of save, in milliseconds; `own` for what this project makes."""

    label: str
    latencies: Sequence[float]
    own: bool


@dataclass(frozen=True)
class Panel:
    """Strips under one title."""

    title: str
    strips: Sequence[Strip]


@dataclass(frozen=True)
class Budget:
    """A limit, and what was measured against it; both in the unit."""

    name: str
    limit: float
    measured: float
    unit: str

    @property
    def verdict(self) -> str:
        """Whether it is met; if not, by how much it is missed."""
        if self.measured <= self.limit:
            return "met"
        return f"missed by {spell(self.measured - self.limit)} {self.unit}".strip()


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a table in Markdown, aligned for reading as text; numbers to the right."""
    cells = [[str(cell) for cell in row] for row in [header, *rows]]
    widths = [max(3, *(len(row[column]) for row in cells)) for column in range(len(header))]
    numeric = [
        all(row[column][:1].isdigit() or row[column] in {"", "-", "never"} for row in cells[1:])
        for column in range(len(header))
    ]

    def line(row: Sequence[str]) -> str:
        padded = (
            f"{cell:>{width}}" if right else f"{cell:<{width}}"
            for cell, width, right in zip(row, widths, numeric, strict=True)
        )
        return f"| {' | '.join(padded)} |"

    rule = (f"{'-' * (width - right)}{':' * right}" for width, right in zip(widths, numeric, strict=True))
    return "\n".join([line(cells[0]), f"| {' | '.join(rule)} |", *map(line, cells[1:])])


def budget_table(budgets: Sequence[Budget]) -> str:
    """Return the budgets and how they were kept, in Markdown."""
    rows = [
        (b.name, f"{spell(b.limit)} {b.unit}".strip(), f"{spell(b.measured)} {b.unit}".strip(), b.verdict)
        for b in budgets
    ]
    return table(("Budget", "At most", "Measured", ""), rows)


def write_markdown(path: Path, command: str, parts: Sequence[str]) -> None:
    """Write the parts, with a blank line between them, to a file that says which command has made it."""
    path.write_text("\n\n".join([f"<!-- Made by `{command}`; change bench/ and not this file. -->", *parts]) + "\n")


def plot(path: Path, panels: Sequence[Panel], axis: str) -> None:
    """Draw every save as a dot and every median as a line with its number, on one logarithmic scale; write SVG."""
    heights = [len(panel.strips) * ROW_HEIGHT + PANEL_HEIGHT for panel in panels]
    # Text stays text, and the same numbers give the same file.
    with mpl.rc_context(
        {"svg.fonttype": "none", "svg.hashsalt": path.stem, "font.family": "sans-serif", "font.size": 10}
    ):
        figure = Figure(figsize=(WIDTH, sum(heights)), layout="constrained")
        for axes, panel in zip(
            figure.subplots(len(panels), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0],
            panels,
            strict=True,
        ):
            _draw(axes, panel)
        axes.set_xlabel(axis, color=INK)
        figure.savefig(path, transparent=True, metadata={"Date": None, "Creator": None})


def _draw(axes: Axes, panel: Panel) -> None:
    axes.set_title(panel.title, loc="left", color=INK, fontsize=11, fontweight="bold")
    for row, strip in enumerate(panel.strips):
        color = ACCENT if strip.own else QUIET
        shown = [latency for latency in strip.latencies if math.isfinite(latency)]
        heights = [row + SPREAD * (2 * (number * GOLDEN % 1) - 1) for number in range(len(shown))]
        axes.scatter(shown, heights, s=9, color=color, alpha=0.75, linewidths=0)
        if shown and math.isfinite(median := percentile(strip.latencies, 50)):
            axes.plot([median, median], [row - 0.42, row + 0.42], color=color, linewidth=2)
            axes.annotate(
                spell(median),
                (median, row - 0.42),
                xytext=(4, -1),
                textcoords="offset points",
                color=color,
                fontsize=9,
                fontweight="bold",
                va="top",
            )
    axes.set_yticks(range(len(panel.strips)), [strip.label for strip in panel.strips])
    axes.set_ylim(len(panel.strips) - 0.4, -0.6)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.grid(axis="x", color=INK, alpha=0.25, linewidth=0.6)
    axes.tick_params(colors=INK, length=0)
    axes.spines[:].set_visible(False)
