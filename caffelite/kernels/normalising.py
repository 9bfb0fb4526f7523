"""Batch normalisation, the scaling and the rectifying behind it, in one go over some channels.

    n = (x − μ) / σ;  y = s·n + b;  z = max(y, 0)

Each is optional. With μ and σ of the batch, all values of a channel are read before the first can
be written; so a tile is some channels of all samples, and whatever is done to it is done while it
is cached. Tiles are cut by size: results do not depend on the number of threads.

Shapes: x, n, y, z and their gradients (N, C, places); μ, σ, s, b (C,).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from caffelite.kernels import parallel
from caffelite.kernels.tuned import Tuned
from caffelite.kernels.workspace import Array, Workspace, shared_workspace

TILE = 1 << 17
"""Values of a tile, of which four arrays are to stay cached; more where a channel has more."""
LARGE: Tuned = 1 << 18
"""Fewer values than this are done before another thread has woken."""
REPEATED: Tuned = 4
"""From so many samples on a number for each channel is written out for all places once, which
makes NumPy's loops long."""


@dataclass
class Forward:
    """The arrays of a forward pass; None: not there, or seen by nobody."""

    x: Array
    normal: Array | None = None
    """n; where it is None although something is normalised, only y is written."""
    scaled: Array | None = None
    rectified: Array | None = None

    def run(
        self,
        mean: Array | None,
        deviation: Array,
        eps: float | None,
        scale: Array | None,
        bias: Array | None,
    ) -> Array | None:
        """Write n, y and z. `mean` None: nothing is normalised. With `eps`, mean and √(variance +
        eps) are the batch's and written to `mean` and `deviation`; the variances are given back."""
        variance = None if eps is None else np.empty_like(deviation)

        def tile(at: slice) -> None:
            ws, x = shared_workspace(), self.x[:, at]
            n, y, z = (_part(a, at) for a in (self.normal, self.scaled, self.rectified))
            now, out = x, next(a for a in (n, y, z) if a is not None)
            factor, shift = (None if a is None else a[at] for a in (scale, bias))
            if variance is not None and mean is not None:
                mean[at] = _sums(x, ws) / _count(x)
                now = np.subtract(x, _spread(mean[at], x, ws), out)
                variance[at] = _products(now, now) / _count(x)
                np.sqrt(variance[at] + eps, deviation[at])
            if mean is not None:
                inverse: Array | None = 1 / deviation[at]
                ahead = None if variance is not None else -mean[at] * inverse
                if n is not None:
                    now, inverse, ahead = _line(now, inverse, ahead, n, ws), None, None
                if inverse is not None:
                    factor = inverse if factor is None else factor * inverse
                if ahead is not None:
                    ahead = ahead if scale is None else ahead * scale[at]
                    shift = ahead if shift is None else shift + ahead
            if factor is not None or shift is not None:
                now = _line(now, factor, shift, out if y is None else y, ws)
            if z is not None:
                np.maximum(now, _spread(None, x, ws), out=z)

        parallel.run(tile, _tiles(self.x), self.x.size > LARGE)
        return variance


@dataclass
class Backward:
    """The arrays of a backward pass; None: not there, or not wanted."""

    top: Array
    """The gradient that comes in."""
    z: Array | None = None
    """The rectified values."""
    rectified: Array | None = None
    """Where the gradient goes that leaves the rectifier."""
    before: Array | None = None
    """What was scaled; what was normalised, if nothing was scaled."""
    scaled: Array | None = None
    """Where the gradient goes that leaves the scaling, if not `bottom`."""
    bottom: Array | None = None

    def run(
        self, deviation: Array | None, batch: bool, scale: Array | None, sums: Array | None
    ) -> None:
        """Write the gradients. `sums` (2, C) gets ∂L/∂b and ∂L/∂s. `deviation` None: nothing was
        normalised; `batch`: by the batch's own mean and deviation."""

        def tile(at: slice) -> None:
            ws = shared_workspace()
            g = self.top[:, at]
            z, r, n, out, dx = (
                _part(a, at)
                for a in (self.z, self.rectified, self.before, self.scaled, self.bottom)
            )
            if z is not None and r is not None:
                positive = ws.array("better", z.shape, np.bool_)
                np.greater(z, _spread(None, z, ws), positive)
                g = np.multiply(g, positive, r)
            total = products = None
            if (batch or sums is not None) and n is not None:
                total, products = _sums(g, ws), _products(g, n)
            if sums is not None:
                sums[:, at] = total, products
            if out is not None and scale is not None:
                np.multiply(g, _spread(scale[at], g, ws), out)
            if dx is None:
                return
            factor = None if scale is None else scale[at]
            if deviation is not None:
                factor = (1 if factor is None else factor) / deviation[at]
            if batch and n is not None and total is not None and products is not None:
                # s·g has the means s·Σg/m, and with n s·Σg·n/m
                own = ws.array("share", n.shape, n.dtype)
                np.multiply(n, _spread(products / _count(n), n, ws), own)
                np.add(own, _spread(total / _count(n), n, ws), own)
                g = np.subtract(g, own, own)
            if factor is None:
                if dx is not g:
                    np.copyto(dx, g)
            else:
                np.multiply(g, _spread(factor, g, ws), dx)

        parallel.run(tile, _tiles(self.top), self.top.size > LARGE)


def _part(a: Array | None, at: slice) -> Array | None:
    return None if a is None else a[:, at]


def _tiles(x: Array) -> list[slice]:
    """The channels of each tile."""
    samples, channels, places = x.shape
    return parallel.slices(channels, TILE // max(1, samples * places))


def _count(x: Array) -> int:
    return max(1, x[:, 0].size)


def _spread(values: Array | None, like: Array, workspace: Workspace) -> Array:
    """A number for each channel (None: 0) so shaped that NumPy repeats it for samples and
    places, the fastest way."""
    if values is not None and (len(like) < REPEATED or len(values) == 1):
        return values[:, None]
    spread = workspace.array("spread", like.shape[1:], like.dtype)
    np.copyto(spread, 0 if values is None else values[:, None])
    return spread


def _sums(x: Array, workspace: Workspace) -> Array:
    """The sum of each channel; a product with ones is the fastest."""
    ones = workspace.array("ones", x.shape[2:], x.dtype)
    ones.fill(1)
    total: Array = np.add.reduce(np.matmul(x, ones), 0)
    return total


def _line(
    x: Array, factor: Array | None, shift: Array | None, out: Array, workspace: Workspace
) -> Array:
    """Write out = factor · x + shift."""
    if factor is not None:
        x = np.multiply(x, _spread(factor, x, workspace), out)
    if shift is not None:
        x = np.add(x, _spread(shift, x, workspace), out)
    return x


def _products(x: Array, y: Array) -> Array:
    """Σ x·y of each channel."""
    total: Any = np.einsum("ncp,ncp->nc", x, y)
    summed: Array = np.add.reduce(total, 0)
    return summed
