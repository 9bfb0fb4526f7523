"""Lattice: Gaussian filters of points in a few dimensions, by way of a permutohedral lattice.

Every value is shared out to the d + 1 corners of the simplex around its point, the corners are
blurred along each of the d + 1 axes by (1/2, 1, 1/2), and every point gathers what its corners
have. Time grows with the points, not with their pairs.

Source: Adams, Baek & Davis 2010, Fast high-dimensional filtering using the permutohedral lattice;
the rounding, the order of the axes and the factor at the end are those of Krähenbühl & Koltun 2011.
"""

from __future__ import annotations

import numpy as np

from caffelite.blob import Array


class Lattice:
    """A filter for n points of d features each, in their type of numbers; what lies at a distance
    of 1 counts less by e^(−1/2)."""

    def __init__(self, features: Array) -> None:
        self.n, self.d = features.shape
        keys, self._weights = self._corners(features)
        self._corner, self._neighbours = self._number(keys)
        self._order = np.argsort(self._corner.ravel(), kind="stable")
        counts = np.bincount(self._corner.ravel(), minlength=self.size)
        self._starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
        self._whose = self._order // (self.d + 1)
        self._shares = self._weights.ravel()[self._order]

    @property
    def size(self) -> int:
        """How many corners have a share of any point."""
        return int(self._neighbours.shape[2])

    def _corners(self, points: Array) -> tuple[Array, Array]:
        """The corners around each point, (n, d + 1, d + 1) as places in the plane whose numbers add
        up to 0, and the weights of each, (n, d + 1)."""
        d, dtype = self.d, points.dtype
        places = np.arange(1, d + 1)
        factors = np.sqrt(2 / 3) * (d + 1) / np.sqrt(places * (places + 1))
        scaled = points * factors.astype(dtype)
        raised = np.zeros((self.n, d + 1), dtype)
        raised[:, :d] = np.cumsum(scaled[:, ::-1], 1)[:, ::-1]
        raised[:, 1:] -= places.astype(dtype) * scaled
        whole = np.ceil(raised / (d + 1) - dtype.type(0.5))  # halfway: down
        rank = self._ranks(raised - whole * (d + 1)) + whole.sum(1, keepdims=True).astype(np.intp)
        base = whole.astype(np.intp) * (d + 1)
        for wrong, step in ((rank < 0, d + 1), (rank > d, -d - 1)):
            rank[wrong] += step
            base[wrong] += step
        rest = (raised - base.astype(dtype)) / (d + 1)
        weights, rows = np.zeros((self.n, d + 2), dtype), np.arange(self.n)
        for i in range(d + 1):
            weights[rows, d - rank[:, i]] += rest[:, i]
            weights[rows, d - rank[:, i] + 1] -= rest[:, i]
        weights[:, 0] += 1 + weights[:, d + 1]
        steps = np.array([[i - (d + 1) * (j > d - i) for j in range(d + 1)] for i in range(d + 1)])
        return base[:, None, :] + steps[:, rank].transpose(1, 0, 2), weights[:, : d + 1]

    def _ranks(self, rest: Array) -> Array:
        """How many of a point's numbers are larger; of equal ones the last stands first."""
        order = np.argsort(-rest[:, ::-1], axis=1, kind="stable")
        rank = np.empty(order.shape, np.intp)
        np.put_along_axis(rank, order, np.arange(self.d + 1)[None], 1)
        return rank[:, ::-1].copy()

    def _number(self, keys: Array) -> tuple[Array, Array]:
        """A number for each different corner, (n, d + 1), and those of its two neighbours along
        each axis, (d + 1, 2, size); `size` itself stands for none."""
        d = self.d
        flat = keys.reshape(-1, d + 1)[:, :d]  # the last one is what is lacking to 0
        low = flat.min(0) - d - 1
        spans = flat.max(0) + d + 2 - low
        if np.prod(spans.astype(np.float64)) >= 2**62:
            raise OverflowError("the points lie too far apart")
        radix = np.concatenate([[1], np.cumprod(spans[:-1])])
        codes, corner = np.unique((flat - low) @ radix, return_inverse=True)
        neighbours = np.empty((d + 1, 2, len(codes)), np.intp)
        for axis in range(d + 1):
            step = -np.ones(d, np.int64)
            if axis < d:
                step[axis] = d
            for side, sign in enumerate((1, -1)):
                wanted = codes + sign * int(step @ radix)
                at = np.minimum(np.searchsorted(codes, wanted), len(codes) - 1)
                neighbours[axis, side] = np.where(codes[at] == wanted, at, len(codes))
        return corner.reshape(self.n, d + 1), neighbours

    def filter(self, values: Array, transposed: bool = False) -> Array:
        """The values (…, n) filtered, or, `transposed`, what a gradient of the filtered ones is for
        the values."""
        result = np.empty(values.shape, values.dtype)
        for source, target in zip(values.reshape(-1, self.n), result.reshape(-1, self.n)):
            target[:] = self._filtered(source, transposed)
        return result

    def _filtered(self, values: Array, transposed: bool) -> Array:
        held = np.zeros(self.size + 1, values.dtype)
        held[:-1] = np.add.reduceat(self._shares * values[self._whose], self._starts)
        axes = range(self.d + 1)
        for axis in reversed(axes) if transposed else axes:
            first, second = self._neighbours[axis]
            held[:-1] += (held[first] + held[second]) / 2
        gathered: Array = (self._weights * held[self._corner]).sum(1)
        gathered /= 1 + 2.0**-self.d
        return gathered
