"""Products a · bᵀ of rows with rows, as gradients of filters are, in the way BLAS does fastest.

Its kernels take many rows of the first matrix at a time, so few rows are better in the second: then
the result is computed as (b · aᵀ)ᵀ. And where both are few there are kernels for small products:
what is added up is cut into stretches then.
"""

from __future__ import annotations

import numpy as np

from caffelite.kernels.tuned import Tuned
from caffelite.kernels.workspace import Array, shared_workspace

NARROW: Tuned = 128
"""More rows than this are not few."""
LONG: Tuned = 128
"""With fewer terms to each sum than this, all ways take as long."""
TINY: Tuned = 1 << 19
"""Products of up to so many multiplications have kernels of their own."""
PARTS = 1 << 14
"""Such products of one result have at most so many values together, and a result that is turned
TURNED."""
TURNED = 1 << 18


def times_rows(a: Array, b: Array, out: Array) -> None:
    """Write out = a bᵀ; a (…, M, P) by (…, N, P) is (…, M, N)."""
    few, many, terms = a.shape[-2], b.shape[-2], a.shape[-1]
    if few <= NARROW and many >= 2 * few and terms >= LONG and out.size <= TURNED:
        turned = shared_workspace().array("turned", (*out.shape[:-2], many, few), out.dtype)
        np.matmul(b, a.swapaxes(-1, -2), out=turned)
        np.copyto(out, turned.swapaxes(-1, -2))
    else:
        np.matmul(a, b.swapaxes(-1, -2), out=out)


def times_columns(a: Array, b: Array, pieces: int, out: Array) -> None:
    """`times_rows` of a (1, M, P) and b (1, N, P) or of more of them, where P lies in so many
    pieces of one length, between which sums may be cut."""
    groups, few, terms = a.shape
    many = b.shape[1]
    most = max(1, TINY // max(1, few * many))
    count = next((n for n in range(1, pieces + 1) if pieces % n == 0 and terms <= n * most), 0)
    small = groups == 1 and count > 1 and terms >= count * LONG
    if not small or count * few * many > PARTS:
        times_rows(a, b, out)
        return
    left = a.reshape(few, count, -1).transpose(1, 0, 2)
    right = b.reshape(many, count, -1).transpose(1, 2, 0)
    parts = shared_workspace().array("parts", (count, few, many), out.dtype)
    np.matmul(left, right, out=parts)
    np.add.reduce(parts, 0, out=out[0])
