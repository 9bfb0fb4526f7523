"""Predictions as text, JSON lines and CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from caffelite.errors import DataError, Problem
from caffelite.reading import read_text
from caffelite.report.strict import to_json
from caffelite.use.predict import Prediction


def class_names(path: str, count: int | None = None) -> list[str]:
    """The names of the classes in a file, one a line. Raises DataError if there are not `count`."""
    names = [line.strip() for line in read_text(path, "names of classes").splitlines()]
    names = [name for name in names if name]
    if count is not None and len(names) != count:
        raise DataError(
            Problem(
                f'"{path}" has {len(names)} names, but the net has {count} classes',
                expected="a name for each class, one a line, in the order of the labels",
            )
        )
    return names


@dataclass(frozen=True)
class Shown:
    """How predictions are printed: the `top` classes of each, or with None all values."""

    output: str
    names: Sequence[str]
    top: int | None
    form: str = "text"
    """text, json or csv."""

    def head(self) -> str:
        """What comes before the first."""
        if self.form != "csv":
            return ""
        ranked = ["sample", "rank", "class", "name", "score"]
        return self._csv([ranked if self.top else ["sample", "index", "value"]]) + "\n"

    def __call__(self, found: Prediction) -> str:
        """One prediction, without the last line's end."""
        if self.top is None:
            return self._values(found)
        best = found.top(self.top)
        if self.form == "json":
            classes = [
                {"class": i, **({"name": self._name(i)} if self.names else {}), "score": score}
                for i, score in best
            ]
            return to_json({"sample": found.source, "output": self.output, "classes": classes})
        if self.form == "csv":
            rows = [
                [found.source, rank, i, self._name(i), f"{score:.6g}"]
                for rank, (i, score) in enumerate(best, 1)
            ]
            return self._csv(rows)
        lines = [f"  {score:<9.4f}{i:>4}  {self._name(i)}".rstrip() for i, score in best]
        return "\n".join([found.source, *lines])

    def _values(self, found: Prediction) -> str:
        values = np.ravel(found.values)
        if self.form == "json":
            shown = {"sample": found.source, "output": self.output}
            return to_json({**shown, "values": np.asarray(found.values, float).tolist()})
        if self.form == "csv":
            return self._csv([[found.source, i, f"{v:.6g}"] for i, v in enumerate(values)])
        first = " ".join(f"{v:.5g}" for v in values[:8])
        more = f" ... ({len(values)} values)" if len(values) > 8 else ""
        return f"{found.source}: {self.output} = {first}{more}"

    def _name(self, index: int) -> str:
        return self.names[index] if index < len(self.names) else ""

    @staticmethod
    def _csv(rows: Sequence[Sequence[object]]) -> str:
        out = io.StringIO()
        csv.writer(out, lineterminator="\n").writerows(rows)
        return out.getvalue().removesuffix("\n")
