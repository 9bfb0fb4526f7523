"""How far rounding alone takes the losses of a net: the recorded steps once more in float64.

    python -m benchmark.run_rounding FOLDER          (started by bench.py)

FOLDER is what `run_prepare` left there. A net with many BatchNorms doubles a difference of rounding
every few layers; then two correct programs in float32 part within a few steps.
"""

from __future__ import annotations

import json
import os
import sys

import numpy as np

from caffelite.errors import CaffeliteError

from . import nets
from .child import apart, say, skip
from .run_prepare import loss_of


def main(folder: str) -> None:
    with open(os.path.join(folder, "job.json")) as file:
        job = json.load(file)
    with open(os.path.join(folder, "train.json")) as file:
        facts = json.load(file)
    try:
        nets.use_engine("numpy")
        param = nets.measurable(job, "train")
        nets.without_chance(param)
        solver = nets.trainer(param, np.float64)
        worst = 0.0
        with np.load(os.path.join(folder, "train.npz")) as arrays:
            arena = solver.net.arena
            for i, data in enumerate(arena.split(arena.data)):
                data[...] = arrays[f"param/{i}"]
            for i, name in enumerate(facts["inputs"]):
                if name in solver.net.inputs:
                    solver.net.blobs[name].data[...] = arrays[f"batch/0/{i}"]
            for k in range(facts["recorded"]):
                solver.step(1)
                exact = np.array([loss_of(solver.net)])
                worst = max(worst, apart(arrays[f"expected/{k}"], exact))
        say(rounding=worst)
    except CaffeliteError as error:
        skip(str(error))


if __name__ == "__main__":
    main(*sys.argv[1:])
