"""caffelite's part of `bench.py`, on one of its engines.

    python -m benchmark.run_caffelite FOLDER train|forward THREADS ENGINE   (started by bench.py)

FOLDER is what `run_prepare` left there.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

import caffelite
from caffelite.errors import CaffeliteError

from . import nets
from .child import apart, peak_mb, serve, skip
from .run_prepare import loss_of


class Subject:
    """The net of one pass, with the recorded inputs in it."""

    def __init__(self, folder: str, which: str, job: dict[str, Any], exact: bool) -> None:
        with open(os.path.join(folder, f"{which}.json")) as file:
            self.facts = json.load(file)
        param = nets.measurable(job, which)
        if exact:
            nets.without_chance(param)
        self.solver = nets.trainer(param) if which == "train" else None
        self.net = self.solver.net if self.solver else nets.tester(param)
        with np.load(os.path.join(folder, f"{which}.npz")) as arrays:
            for i, name in enumerate(self.facts["inputs"]):
                if name in self.net.inputs:
                    self.net.blobs[name].data[...] = arrays[f"batch/0/{i}"]
            self.expected = [arrays[f"expected/{k}"] for k in range(self.facts["recorded"])]

    def difference(self) -> float:
        """The largest difference from what was recorded: losses of steps, or outputs."""
        worst = 0.0
        for expected in self.expected:
            if self.solver:
                self.solver.step(1)
                got = np.array([loss_of(self.net)])
            else:
                out = self.net.forward()
                got = np.concatenate([out[name].ravel() for name in self.facts["outputs"]])
            worst = max(worst, apart(got, expected))
        return worst

    def runner(self) -> Callable[[int], Any]:
        if self.solver:
            return self.solver.step
        net = self.net

        def forward(count: int) -> None:
            for _ in range(count):
                net.forward()

        return forward


def main(folder: str, which: str, threads: str, engine: str) -> None:
    with open(os.path.join(folder, "job.json")) as file:
        job = json.load(file)
    try:
        nets.use_engine(engine)
        imported = peak_mb()
        subject = Subject(folder, which, job, exact=True)
        runs_on = nets.check_engine(subject.net, engine)
        difference = subject.difference()
        if subject.facts["dropout"] and which == "train":
            del subject
            gc.collect()
            subject = Subject(folder, which, job, exact=False)
        serve(
            subject.runner(),
            version=caffelite.__version__,
            versions={"caffelite": caffelite.__version__, "numpy": np.__version__},
            engine=runs_on,
            import_mb=imported,
            difference=difference,
        )
    except CaffeliteError as error:
        skip(str(error))


if __name__ == "__main__":
    main(*sys.argv[1:])
