"""Average precision: how good a ranking of judged detections is.

Detections of one class, best first, of which t_k of the first k are right, give precision
p_k = t_k/k and recall r_k = t_k/(number of objects). The average precision is the area under p
over r, in one of four versions, the `ap_version`:

- Integral: Σ (r_k − r_(k−1))·p_k.
- MaxIntegral, Pascal VOC's since 2010: the same with the largest p at recall r_k or more for p_k.
- 11point, Pascal VOC's of 2007: the mean over r = 0, 0.1, … 1 of the largest p at recall r or
  more.
- 101point, COCO's, in Cascade R-CNN's fork: the same over r = 0, 0.01, … 1.

A class without objects has 0; so has one without detections. Source: the SSD fork
(weiliu89/caffe), whose results these are; Everingham et al. 2010.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from caffelite.blob import Array
from caffelite.errors import Problem, SolverError
from caffelite.schema.solver import SolverParameter

VERSIONS = ("11point", "101point", "MaxIntegral", "Integral")
POINTS = {"11point": 11, "101point": 101}
EVALUATIONS = ("classification", "detection")


@dataclass(frozen=True)
class Scoring:
    """What is made of the rows of DetectionEvaluate."""

    version: str = "Integral"
    per_class: bool = False

    def scores(self, name: str, rows: Array) -> dict[str, float]:
        """The mean average precision under the output's name, and those of the classes under
        NAME_class1 and so on, if they are to be shown."""
        each = precisions(rows, self.version)
        found = {name: sum(each.values()) / max(1, len(each))}
        if self.per_class:
            found |= {f"{name}_class{c}": value for c, value in each.items()}
        return found


def precisions(rows: Array, version: str) -> dict[int, float]:
    """Each class's average precision, of rows (number, 5) as DetectionEvaluate makes them, of any
    number of batches."""
    counts, judged = rows[rows[:, 0] == -1], rows[rows[:, 0] != -1]
    judged = judged[judged[:, 3] + judged[:, 4] != 0]
    found = {}
    for c in sorted(set(counts[:, 1].astype(int).tolist())):
        number = int(counts[counts[:, 1] == c, 2].sum())
        mine = judged[judged[:, 1] == c]
        order = np.argsort(-mine[:, 2], kind="stable")
        found[c] = average_precision(mine[order, 3], number, version)
    return found


def average_precision(right: Array, number: int, version: str) -> float:
    """Of one class's detections, best first: 1 where right, 0 where wrong. `number`: objects."""
    if not number or not len(right):
        return 0.0
    hits = np.cumsum(right, dtype=np.float64)
    precision = hits / np.arange(1, len(right) + 1)
    recall = hits / number
    best = np.maximum.accumulate(precision[::-1])[::-1]  # at this recall or more
    if points := POINTS.get(version):
        # The original holds recalls in float32 against points in float64: 7 of 10 miss 0.7.
        levels = np.arange(points) / (points - 1)
        at = np.searchsorted(recall.astype(np.float32).astype(np.float64), levels)
        return float(np.append(best, 0)[at].mean())
    height = best if version == "MaxIntegral" else precision
    return float((np.diff(recall, prepend=0) * height).sum())


def check_scoring(param: SolverParameter, tallied: Sequence[Sequence[str]]) -> None:
    """Refuse an `eval_type` and an `ap_version` that are not there, and a detection where a test
    net judges none; `tallied`: for each test net the outputs that do."""
    problems = []
    for name, allowed in (("eval_type", EVALUATIONS), ("ap_version", VERSIONS)):
        value = param.get(name)
        if value not in allowed:
            expected = ", ".join(f'"{a}"' for a in allowed)
            problems.append(Problem(f'{name} cannot be "{value}"', param.span(name), expected))
    if param.eval_type == "detection":
        for i, names in enumerate(tallied):
            if not names:
                problems.append(
                    Problem(
                        f'eval_type is "detection", but test net #{i} judges no detections',
                        param.span("eval_type"),
                        "a layer DetectionEvaluate whose top is an output of the test net",
                    )
                )
    if problems:
        raise SolverError(*problems)
