"""Matrix products of fully connected layers, in blocks that threads share.

With few samples such a product reads or writes a large matrix of weights once, which takes most of
its time: blocks keep what is reused cached, and need no second array of the weights' size.
"""

from __future__ import annotations

import numpy as np

from caffelite.kernels import parallel
from caffelite.kernels.tuned import Tuned
from caffelite.kernels.workspace import Array, shared_workspace

LARGE: Tuned = 1 << 22
"""Fewer multiplications than this are done before another thread has woken."""
WEIGHTS: Tuned = 1 << 16
"""More weights than this are gone through in blocks."""
BLOCK: Tuned = 1 << 20
"""Values of `b` under a block of columns, about: four megabytes of float32."""
SCRATCH = 1 << 18
"""Values of a block of rows that is added, about."""
COLUMNS: Tuned = 128
ROWS: Tuned = 16
"""So many of them a block has at least; a block of rows that are longer than a block has one."""


def is_large(samples: int, weights: int) -> bool:
    """Are blocks worth their while, or does np.dot do?"""
    return weights > WEIGHTS or samples * weights > LARGE


def product(a: Array, b: Array, out: Array) -> None:
    """Write out = a b; (M, K) by (K, N)."""
    inner, columns = b.shape
    step = even_step(columns, BLOCK // max(1, inner), COLUMNS)

    def block(at: slice) -> None:
        np.matmul(a, b[:, at], out=out[:, at])

    parallel.run(block, parallel.slices(columns, step), a.size * columns > LARGE)


def add_product(a: Array, b: Array, out: Array, fresh: bool = False) -> None:
    """Add a b to out; write it there where `fresh`. (M, K) by (K, N)."""
    rows, columns = out.shape
    most = BLOCK if fresh else SCRATCH
    step = even_step(rows, most // max(1, columns), 1 if columns > most else ROWS)

    def block(at: slice) -> None:
        if fresh:
            np.matmul(a[at], b, out=out[at])
            return
        part = shared_workspace().array("product", out[at].shape, out.dtype)
        np.matmul(a[at], b, out=part)
        np.add(out[at], part, out=out[at])

    parallel.run(block, parallel.slices(rows, step), a.size * columns > LARGE)


def even_step(total: int, most: int, least: int) -> int:
    """The size of parts of about `most`, but at least `least`, and four parts where that allows."""
    size = max(least, min(most, -(-total // 4)))
    return -(-total // max(1, -(-total // size)))
