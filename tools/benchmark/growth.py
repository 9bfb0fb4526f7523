"""How cost grows: with the batch, and with the number of layers."""

from __future__ import annotations

import math
from typing import Any

from .contenders import KINDS
from .processes import Skipped, ask
from .report import PASSES, columns, duration, figure_name

BATCHES = [1, 2, 4, 8, 16, 32, 64]
DEPTHS = [10, 30, 100, 300, 1_000, 3_000, 10_000]
STAGES = ("read", "build", "first pass", "pass", "free")


def exponent(sizes: list[float], costs: list[float]) -> float:
    """The p of cost ~ size^p that fits best: the slope of the line through the logarithms.

    nan for fewer than two sizes."""
    x, y = [math.log(size) for size in sizes], [math.log(max(cost, 1e-9)) for cost in costs]
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    spread = sum((a - mean_x) ** 2 for a in x)
    if not spread:
        return math.nan
    return sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y)) / spread


def curve(name: str, key: str, sizes: list[int], seconds: list[float]) -> dict[str, Any]:
    """One line. What does not grow hides the growth while sizes are small, so the exponent is of
    the sizes within a factor of 100 of the largest."""
    large = [(n, s) for n, s in zip(sizes, seconds) if n * 100 >= max(sizes)]
    fitted = exponent([float(n) for n, _ in large], [s for _, s in large])
    return {"name": name, "key": key, "sizes": sizes, "seconds": seconds, "exponent": fitted}


def with_batch(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Results at several batches as curves: one set for each net, pass and figure."""
    sets: dict[tuple[str, str, str], dict[str, dict[int, float]]] = {}
    titles, keys = {}, {}
    for result in results:
        group = result["net"], result["pass"], result["figure"]
        what = f"{result['net']}, {PASSES[result['pass']]}"
        titles[group] = f"{what}\n{figure_name(result)}"
        for c in result["contenders"]:
            times = sets.setdefault(group, {}).setdefault(c["name"], {})
            times[result["batch"]] = c["median_us"] / 1e6
            keys[c["name"]] = c["key"]
    curves = []
    for group, contenders in sets.items():
        lines = [
            curve(name, keys[name], sorted(times), [times[n] for n in sorted(times)])
            for name, times in contenders.items()
        ]
        curves.append({"title": titles[group], "lines": lines})
    return curves


def with_depth(
    engines: list[str], sizes: list[int], repeat: int
) -> tuple[list[dict[str, Any]], list[str]]:
    """CPU time on one thread of a chain's life, for each engine; why engines are left out."""
    curves, notes = [], []
    for engine in dict.fromkeys(engines):
        name = KINDS[engine].title
        try:
            answers = [ask("run_depth", engine, str(n), str(repeat))[-1] for n in sorted(sizes)]
        except Skipped as why:
            notes.append(f"{name} is left out: {why}")
            continue
        lines = [curve(s, s, sorted(sizes), [a[s] for a in answers]) for s in STAGES]
        peaks = [a["peak_mb"] for a in answers]
        title = f"{name}, a chain of small layers\nCPU time of the process, 1 thread"
        curves.append({"title": title, "lines": lines, "peak_mb": peaks})
    return curves, notes


def table(curves: list[dict[str, Any]], of: str) -> str:
    """Every line with its cost at all sizes (the last five, where there are more)."""
    text: list[str] = []
    for found in curves:
        sizes = found["lines"][0]["sizes"][-5:]
        rows = [(of, *(f"{n:,}" for n in sizes), "exponent")]
        for line in found["lines"]:
            by_size = dict(zip(line["sizes"], line["seconds"]))
            cells = [duration(by_size[n] * 1e6) if n in by_size else "" for n in sizes]
            rows.append((line["name"], *cells, f"{line['exponent']:.2f}"))
        if peaks := [peak for peak in found.get("peak_mb", [])[-5:] if peak is not None]:
            rows.append(("peak memory", *(f"{peak:,.0f} MB" for peak in peaks), ""))
        text += [found["title"].replace("\n", ": "), *columns(rows), ""]
    return "\n".join(text)
