"""A chain of N small layers: read, planned and allocated, run, freed; the CPU time of each.

    python -m benchmark.run_depth ENGINE N REPEAT     (started by bench.py --grow depth)

The chain is Input, N layers (an InnerProduct of 8 by 8 and a TanH in turns) and a EuclideanLoss. A
pass is forward and backward; the best of REPEAT passes counts, the first is told apart. All this
happens twice, and the shorter time of each stage counts.
"""

from __future__ import annotations

import gc
import os
import sys
import tempfile
import time

import numpy as np

import caffelite
from caffelite.errors import CaffeliteError
from caffelite.files import load_net

from . import nets
from .child import peak_mb, say, skip

WIDTH, BATCH = 8, 4
LIVES = 2


def chain(length: int) -> str:
    """The net's text."""
    lines = [
        f'layer {{ name: "in" type: "Input" top: "x0" top: "target" input_param {{'
        f" shape {{ dim: {BATCH} dim: {WIDTH} }} }} }}"
    ]
    for i in range(length):
        kind = (
            f'type: "InnerProduct" inner_product_param {{ num_output: {WIDTH} '
            'weight_filler { type: "xavier" } }'
            if i % 2 == 0
            else 'type: "TanH"'
        )
        lines.append(f'layer {{ name: "n{i}" bottom: "x{i}" top: "x{i + 1}" {kind} }}')
    lines.append(
        f'layer {{ name: "loss" type: "EuclideanLoss" bottom: "x{length}" bottom: "target" }}'
    )
    return "\n".join(lines)


def life(engine: str, path: str, repeat: int) -> dict[str, float]:
    """Seconds of CPU that each stage of the chain's life takes."""
    clock = time.process_time
    times = [clock()]
    param = load_net(path)
    times.append(clock())
    net = caffelite.Net(param, caffelite.TRAIN, seed=1)
    times.append(clock())
    nets.check_engine(net, engine)
    rng = np.random.default_rng(1)
    for name in net.inputs:
        net.blobs[name].data[...] = rng.standard_normal((BATCH, WIDTH))
    passes = []
    for _ in range(1 + repeat):
        start = clock()
        net.clear_param_diffs()
        loss = net.forward_backward()
        passes.append(clock() - start)
    if not np.isfinite(loss):
        skip(f"the loss is {loss}")
    before = clock()
    del net, param
    gc.collect()
    return {
        "read": times[1] - times[0],
        "build": times[2] - times[1],
        "first pass": passes[0],
        "pass": min(passes[1:]),
        "free": clock() - before,
    }


def main(engine: str, length: str, repeat: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for layers in (2, int(length)):
            paths.append(os.path.join(folder, f"chain{layers}.net"))
            with open(paths[-1], "w") as file:
                file.write(chain(layers))
        small, path = paths[0], paths[-1]
        try:
            nets.use_engine(engine)
            life(engine, small, 1)  # what every net needs once: grammar, imports, threads
            gc.collect()
            gc.freeze()
            lives = [life(engine, path, int(repeat)) for _ in range(LIVES)]
        except CaffeliteError as error:
            skip(str(error))
    best = {stage: min(found[stage] for found in lives) for stage in lives[0]}
    say(**best, peak_mb=peak_mb())


if __name__ == "__main__":
    main(*sys.argv[1:])
