"""The parts of the record that a GPU alone has, in words; the others are in ``table.py``."""

import statistics

import table
from table import best
from works import BATCHES, WIDTHS


def device(record: dict) -> list[str]:
    """The device, its driver and the versions, and the rates of large products."""
    facts = record["device"]
    if not isinstance(facts, dict):
        return [f"{'device':<20}{facts}", ""]
    lines = [f"{key:<20}{value}" for key, value in facts.items()]
    for key in ("gflops", "gflops tf32"):
        rate = best(record, (key,))
        lines.append(f"{key:<20}{record[key] if rate is None else round(rate)}")
    return [*lines, ""]


def first_steps(record: dict) -> list[str]:
    """Seconds to the first step of a fresh process."""
    lines = ["", f"{'first step':<12}{'':<22}{'best, s':>9}{'median':>9}"]
    for work, rows in record["first step"].items():
        for name, runs in rows.items():
            told = f"  {runs}"
            if isinstance(runs, list):
                told = f"{min(runs):9.2f}{statistics.median(runs):9.2f}"
            lines.append(f"{work:<12}{name:<22}{told}")
    return lines


def gains(record: dict) -> dict[int, dict[int, float | None]]:
    """{width: {batch: NumPy's time over the GPU's}} of a step of the mlp, of what was measured."""

    def gain(cell):
        cell = ("against numpy", cell)
        theirs, ours = (
            best(record, (*cell, name), statistics.median) for name in ("numpy", record["backend"])
        )
        return theirs / ours if theirs and ours else None

    return {width: {batch: gain(f"{width} x {batch}") for batch in BATCHES} for width in WIDTHS}


def against_numpy(record: dict) -> list[str]:
    """How many times the GPU's time NumPy takes, by width and batch, and from where on it wins."""
    cells, name = record["against numpy"], record["backend"]
    heads = "".join(f"{f'batch {batch}':>17}" for batch in BATCHES)
    lines = [
        "",
        f"mlp step: NumPy's time over that on {name}, in brackets the latter in ms",
        f"{'width':<8}{heads}  wins from",
    ]
    for width, row in gains(record).items():
        line, wins = f"{width:<8}", None
        for batch, gain in row.items():
            told = "-"
            if gain is not None:
                wins = None if gain <= 1 else wins or batch
                ms = statistics.median(cells[f"{width} x {batch}"][name])
                told = f"{gain:.2f} ({ms:.3f})"
            line += f"{told:>17}"
        nowhere = "nowhere" if any(row.values()) else "-"
        lines.append(f"{line}  {wins or nowhere}")
    for cell, rows in cells.items():
        if isinstance(rows, str):
            lines.append(f"{cell}: {rows}")
            continue
        lines += [f"{cell} on {n}: {runs}" for n, runs in rows.items() if isinstance(runs, str)]
    return lines


SHOWN = {
    "times": lambda record: [*table.times(record), *table.shares(record)],
    "others": table.others,
    "first": first_steps,
    "numpy": against_numpy,
}
"""The lines of each part."""
