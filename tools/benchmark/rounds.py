"""One net, one pass, one figure: all contenders in turns, and how their times compare."""

from __future__ import annotations

import json
import os
import statistics
import sys
from typing import Any

from .contenders import Entry
from .processes import Contender, Skipped, ask, busy_core

TOLERANCE = 1e-3
"""A difference in losses or outputs beyond this (relative where they are above 1) means that the
contenders do not compute the same."""
ROUNDINGS = 4
"""So many times what rounding does to the NumPy engine's losses may another program differ."""
FIGURES = {"wall": "seconds", "cpu": "cpu"}


def prepare(folder: str, job: dict[str, Any]) -> dict[str, Any]:
    """Have the net described for all contenders: inputs and parameter count of each pass."""
    with open(os.path.join(folder, "job.json"), "w") as file:
        json.dump(job, file)
    found: dict[str, Any] = {}
    for answer in ask("run_prepare", folder):
        if "note" in answer:
            print(answer["note"], file=sys.stderr)
            continue
        found[answer.pop("pass")] = answer
    return found


def line_up(
    folder: str, which: str, entries: list[Entry], python: str
) -> tuple[list[Contender], list[str]]:
    """The contenders that can take part, started, and why the others cannot."""
    running: list[Contender] = []
    notes: list[str] = []
    for entry in entries:
        kind = entry.kind
        try:
            if kind.key == "ort":
                if which == "train":
                    continue  # it runs inference only
                if not os.path.exists(os.path.join(folder, "forward.onnx")):
                    ask("run_torch", folder, which, "1", "export", python=python)
            running.append(Contender(entry, folder, which, python))
        except (Skipped, OSError) as why:
            notes.append(f"{entry.title} is left out: {why}")
    return running, notes


def measure(
    folder: str,
    which: str,
    figure: str,
    entries: list[Entry],
    *,
    repeat: int,
    steps: int = 0,
    python: str = "",
    beside: bool = False,
) -> dict[str, Any]:
    """Let the contenders take turns. `figure` is "wall" or "cpu".

    Errors: Skipped, if nobody can take part."""
    running, notes = line_up(folder, which, entries, python)
    try:
        if not running:
            raise Skipped("\n".join(notes) or "no contender is asked for")
        with busy_core(beside):
            for contender in running:
                contender.settle(steps)
            for _ in range(repeat):
                for contender in running:
                    contender.turn()
        results = [result(contender, figure) for contender in running]
        notes += disagreements(folder, which, results)
    except Skipped as why:
        raise Skipped(f"a contender broke off: {why}") from None
    finally:
        for contender in running:
            contender.close()
    times = [getattr(contender, FIGURES[figure]) for contender in running]
    ratios = []
    for i, ours in enumerate(running):
        for j, theirs in enumerate(running):
            if i != j and ours.entry.kind.ours:
                names = {"of": ours.entry.title, "to": theirs.entry.title}
                ratios.append({**names, **compare(times[i], times[j])})
    return {"figure": figure, "contenders": results, "ratios": ratios, "notes": notes}


def disagreements(folder: str, which: str, results: list[dict[str, Any]]) -> list[str]:
    """Who does not compute the same, or why more than `TOLERANCE` is no sign of that."""
    off = [found for found in results if not found["difference"] < TOLERANCE]
    if not off:
        return []
    rounding = 0.0
    if which == "train":
        try:
            rounding = ask("run_rounding", folder)[-1]["rounding"]
        except Skipped as why:
            return [f"the losses could not be computed in float64: {why}"]
    notes = []
    for found in off:
        if found["difference"] < ROUNDINGS * rounding:
            notes.append(
                f"{found['name']} differs by {found['difference']:.2g}; the NumPy engine in "
                f"float32 differs from float64 by {rounding:.2g} on this net"
            )
        else:
            notes.append(
                f"{found['name']} does not compute the same (difference "
                f"{found['difference']:.3g}): don't trust its time"
            )
    return notes


def result(contender: Contender, figure: str) -> dict[str, Any]:
    """What was measured of one."""
    peak = contender.end()
    hello = contender.hello
    microseconds = [t * 1e6 for t in getattr(contender, FIGURES[figure])]
    return {
        "name": contender.entry.title,
        "key": contender.entry.kind.key,
        "ours": contender.entry.kind.ours,
        "threads": contender.entry.threads,
        "version": hello["version"],
        "versions": hello["versions"],
        "engine": hello.get("engine"),
        "steps": contender.steps,
        "median_us": statistics.median(microseconds),
        "min_us": min(microseconds),
        "quartiles_us": quartiles(microseconds),
        "wall_us": statistics.median(contender.seconds) * 1e6,
        "cpu_us": statistics.median(contender.cpu) * 1e6,
        "peak_mb": peak,
        "import_mb": hello["import_mb"],
        "difference": hello["difference"],
    }


def compare(ours: list[float], theirs: list[float]) -> dict[str, Any]:
    """How many times theirs ours is: of neighbours in the rounds, of medians, of minima."""
    pairs = [a / b for a, b in zip(ours, theirs)]
    return {
        "median": statistics.median(pairs),
        "quartiles": quartiles(pairs),
        "range": [min(pairs), max(pairs)],
        "of_medians": statistics.median(ours) / statistics.median(theirs),
        "of_minima": min(ours) / min(theirs),
    }


def quartiles(values: list[float]) -> list[float]:
    """The first and the third."""
    if len(values) == 1:
        return [values[0], values[0]]
    first, _, third = statistics.quantiles(values, n=4, method="inclusive")
    return [first, third]
