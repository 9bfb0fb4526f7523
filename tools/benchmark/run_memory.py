"""One forward pass of a TEST net, and the memory that it took.

    python -m benchmark.run_memory FOLDER describe|ENGINE     (started by bench.py --memory)

`describe` runs first, in a process of its own: it leaves random inputs in files of FOLDER and
says what the net's parameters and blobs weigh, so that the process that is measured does nothing
but what a user's would.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import threading
from typing import Any

import numpy as np

import caffelite
from caffelite.errors import CaffeliteError
from caffelite.files import parse_net
from caffelite.kernels import parallel

from . import nets
from .child import forget_peak, peak_mb, say, skip, status_mb

SIDE = 512
"""Rows and columns of BLAS's first product."""
SMALLEST = """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 2 } } }
layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip"
        inner_product_param { num_output: 2 weight_filler { type: "xavier" } } }
layer { name: "prob" type: "Softmax" bottom: "ip" top: "prob" }
"""


def largest_pair(net: caffelite.Net) -> tuple[int, list[str]]:
    """Bytes of the two largest blobs that one layer reads and writes, and their names. A blob that
    is rewritten in place is one."""
    best: tuple[int, list[str]] = (0, [])
    for layer in net.layers:
        tops = net.top_names[layer.name]
        bottoms = list(layer.spec.bottom) or tops[:1]
        for bottom in bottoms:
            for top in tops:
                names = list(dict.fromkeys([bottom, top]))
                size = sum(net.blobs[name].data.nbytes for name in names)
                best = max(best, (size, names))
    return best


def describe(folder: str, job: dict[str, Any]) -> None:
    net = nets.tester(nets.measurable(job, "forward", own=True), own=True)
    nets.fill(net)
    for number, name in enumerate(net.inputs):
        net.blobs[name].data.tofile(input_file(folder, number))
    size, names = largest_pair(net)
    first = net.top_names[net.layers[0].name][0]
    say(
        batch=net.blobs[first].shape[0],
        parameters_mb=sum(b.data.nbytes for b in shared_once(net)) / 1e6,
        pair_mb=size / 1e6,
        pair=names,
    )


def input_file(folder: str, number: int) -> str:
    """Where the values of an input are, as they lie in memory."""
    return os.path.join(folder, f"input{number}")


def shared_once(net: caffelite.Net) -> list[Any]:
    """The parameters, each shared one once."""
    found = {blob.data.ctypes.data: blob for blobs in net.params.values() for blob in blobs}
    return list(found.values())


def warm_up() -> None:
    """Run the smallest net, and a first product on each thread of ours and on BLAS's own: what is
    imported on the way, the threads, and what BLAS keeps for each of them belong to the
    interpreter. (A product that needs more of BLAS's memory than SIDE² values do adds to the
    net's.)"""
    net = caffelite.Net(parse_net(SMALLEST), caffelite.TEST, seed=1)
    net.forward()
    parts = range(parallel.threads())
    together = threading.Barrier(len(parts))

    def product(_: int) -> None:
        matrix = np.ones((SIDE, SIDE), np.float32)
        together.wait()
        for _ in range(8):  # at the same time, so that BLAS needs memory for each
            np.matmul(matrix, matrix)

    parallel.run(product, parts)
    np.matmul(*[np.ones((SIDE, SIDE), np.float32)] * 2)


def code_mb() -> float:
    """Pages of libraries in memory. The system reads them in when they are first used and drops
    them when memory is short: however many there are by now, they are the interpreter's."""
    return status_mb("RssFile") or 0.0


def above(base: float) -> float:
    """The peak of this process above what it had, without its libraries' pages."""
    peak = peak_mb()
    assert peak is not None
    return peak - code_mb() - base


def main(folder: str, engine: str) -> None:
    with open(os.path.join(folder, "job.json")) as file:
        job = json.load(file)
    try:
        if engine == "describe":
            nets.use_engine("numpy")
            describe(folder, job)
            return
        nets.use_engine(engine)
        warm_up()
        param = nets.measurable(job, "forward", own=True)
        gc.collect()
        base = forget_peak()
        if base is None:
            skip("this system does not tell a process's peak memory")
        base -= code_mb()
        net = nets.tester(param, own=True)
        runs_on = nets.check_engine(net, engine)
        for number, name in enumerate(net.inputs):
            with open(input_file(folder, number), "rb", buffering=0) as file:
                file.readinto(net.blobs[name].data.data)  # no copy on the way
        built = above(base)
        forget_peak()
        out = net.forward()
        if not all(np.isfinite(values).all() for values in out.values()):
            skip(f"{job['net']} puts out something that is not finite")
        forward = above(base)
        say(import_mb=base + code_mb(), build_mb=built, forward_mb=forward, engine=runs_on)
    except CaffeliteError as error:
        skip(str(error))


if __name__ == "__main__":
    main(*sys.argv[1:])
