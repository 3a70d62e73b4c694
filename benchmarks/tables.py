"""Figures as text."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from benchmarks.history import Change


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Lines of columns, the first to the left and the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(
            cell.rjust(width) if at else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )
    return "".join(f"{line.rstrip()}\n" for line in lines)


def number(value: float | None) -> str:
    """As many digits as are worth reading."""
    if value is None:
        return "-"
    size = abs(value)
    if size >= 1000 or value == int(value) != 0:
        return f"{value:.0f}"
    return f"{value:.1f}" if size >= 100 else f"{value:.3f}" if size >= 1 else f"{value:.6f}"


def matrix(figures: Mapping[str, Mapping[str, float]]) -> str:
    """A line for each of ``figures``, a column for each of their own."""
    columns = list(dict.fromkeys(name for row in figures.values() for name in row))
    body = [[name, *(number(row.get(column)) for column in columns)] for name, row in figures.items()]
    return aligned([["", *columns], *body])


def listing(figures: Mapping[str, float]) -> str:
    """A line for each figure."""
    return aligned([[name, number(value)] for name, value in figures.items()])


def changes(found: Sequence[Change], bad: Collection[Change]) -> str:
    """A line for each figure: now, before, the change, and a word if it got worse."""
    body = []
    for change in found:
        by = "" if change.share is None else f"{change.share:+.1%}".replace("%", " %")
        row = [change.name, number(change.now), number(change.before), by, "WORSE" if change in bad else ""]
        body.append(row)
    return aligned([["", "now", "before", "change", ""], *body])
