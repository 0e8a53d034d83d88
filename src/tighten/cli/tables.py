"""Reports as tables for the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group
from rich.table import Table
from rich.text import Text

from tighten.report import Report
from tighten.report.bars import SIGNS, bar
from tighten.report.layers import layers

if TYPE_CHECKING:
    from tighten.engine import Result, Way

PARTS = ("positions", "values", "tables")
COLOURS = ("cyan", "yellow", "magenta")


def report_table(report: Report) -> Table:
    """A row for each constrained site and one for all."""
    table = Table()
    table.add_column("site", no_wrap=True)
    for column in ("weights", "kept", "rate", "levels", "bits", "bytes"):
        table.add_column(column, justify="right", no_wrap=True)
    for s in report.sites:
        levels = "free" if s.levels is None else str(s.levels)
        table.add_row(s.name, f"{s.weights:,}", f"{s.kept:,}", f"{s.rate:.1f}x", levels, str(s.bits), f"{s.bytes:,}")
    table.add_section()
    spent = sum(s.bytes for s in report.sites)
    table.add_row("all weights", f"{report.weights:,}", f"{report.kept:,}", f"{report.rate:.1f}x", "", "", f"{spent:,}")
    return table


def layer_bars(report: Report) -> Table:
    """A row for each site, drawn: how much of it is kept, and what its bytes are spent on."""
    drawn = Table.grid(padding=(0, 2))
    drawn.add_row("site", "kept", "", "bytes: " + ", ".join(map(" ".join, zip(SIGNS, PARTS, strict=True))), style="dim")
    for row in layers(report):
        spent = Text(bar(row.part_bars, 24))
        for sign, colour in zip(SIGNS, COLOURS, strict=True):
            spent.highlight_words([sign], colour)
        kept = f"{row.kept_bar:.3g} %"
        drawn.add_row(Text(row.name), Text(bar((row.kept_bar,), 12), "cyan"), kept, spent, f"{row.bytes:,}")
    return drawn


def size_line(report: Report) -> Text:
    """The bytes on disk and the rates, in words."""
    z = report.sizes
    return Text(
        f"{z.total:,} bytes on disk ({report.bytes_rate:.0f}x smaller than {report.dense_bytes:,}): "
        f"positions {z.positions:,}, values {z.values:,}, tables {z.tables:,}, rest {z.rest:,}, header {z.header:,}\n"
        f"rate {report.rate:.1f}x, {report.rate_with_biases:.1f}x with the {report.biases:,} biases and other numbers"
    )


def result_table(result: Result) -> Group:
    """The sites of a finished run, and its accuracies."""
    loss = result.dense_accuracy - result.accuracy
    line = Text(
        f"test accuracy {result.accuracy:.2f} % (dense {result.dense_accuracy:.2f} %, {-loss:+.2f} points), "
        f"{result.seconds:.0f} s of training after the dense network"
    )
    if result.effort < 1:
        line = Text(f"PARTIAL RESULT: {result.effort:g} of the recipe's epochs\n") + line
    return Group(report_table(result.report), line)


def way_table(way: Way) -> Group:
    """Every step of a search, in order."""
    # Eight narrow columns: it has to fit into a terminal of 80.
    table = Table()
    for column in ("step", "from"):
        table.add_column(column, no_wrap=True)
    for column in ("kept", "rate", "bytes", "val. %", "test %"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("gate", no_wrap=True)
    for s in way.steps:
        verdict = ("best" if s.name == way.best else "passed") if s.passed else "failed"
        origin = s.origin.removeprefix("step-") or "dense"
        sizes = (f"{s.kept:,}", f"{way.entries / max(1, s.kept):.1f}x", f"{s.bytes:,}")
        table.add_row(
            f"{s.name.removeprefix('step-')} {s.kind}",
            origin,
            *sizes,
            f"{s.accuracy:.2f}",
            f"{s.test_accuracy:.2f}",
            verdict,
        )
    line = Text(
        f"dense {way.dense:.2f} % on validation, {way.dense_test:.2f} % on test; the gate is at {way.least:.2f} %; "
        f"{way.epochs} epochs in all, {sum(s.seconds for s in way.steps):.0f} s"
    )
    return Group(table, line)
