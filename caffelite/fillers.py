"""Fillers: the first values of a parameter.

Each is a function of the array's shape, the `FillerParameter` and a random generator that gives
the values in float64. `fill` casts them, so nets of float32 and of float64 start alike.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NoReturn, Union

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.errors import NetError, Problem, did_you_mean
from caffelite.schema.common import FillerParameter, VarianceNorm

Draw = Callable[[int], Array]
"""Gives the next so many values, each independent of the others."""
Draws = tuple[Draw, ...]
"""The values are the products of what these give: all of the first, then all of the next."""
Filler = Callable[[Shape, FillerParameter, np.random.Generator], Union[Array, Draw, Draws]]
BLOCK = 1 << 13
"""Values drawn at a time: 64 KB, which fit the cache and leave no hole in the heap."""


class _Refused(Exception):
    """What is wrong, what was expected, and the field of the filler that says so."""

    def __init__(self, message: str, expected: str, field: str = "type") -> None:
        super().__init__(message)
        self.message, self.expected, self.field = message, expected, field


def fill(
    array: Array,
    filler: FillerParameter,
    rng: np.random.Generator,
    fail: Callable[..., NoReturn] | None = None,
    zeroed: bool = False,
) -> None:
    """Overwrite `array` with what `filler` says. `zeroed`: it holds zeros, so a filler of zeros
    need not touch its memory.

    An unknown filler, or one that cannot fill an array of this shape, is refused: a NetError at the
    filler's place in the text, or `fail(message, expected=..., hint=...)` where that is given.
    """
    check_filler(filler, fail)
    make = FILLERS[filler.type]
    try:
        if filler.sparse != -1 and make is not _gaussian:
            raise _Refused(f"a {filler.type} filler cannot be sparse", 'type: "gaussian"', "sparse")
        if array.size and not (zeroed and make is _constant and filler.value == 0):
            _write(array, make(array.shape, filler, rng))
    except _Refused as error:
        if fail is not None:
            fail(error.message, expected=error.expected)
        place = filler.span(error.field)
        raise NetError(Problem(error.message, place, error.expected)) from None


def _write(array: Array, values: Array | Draw | Draws) -> None:
    if isinstance(values, np.ndarray):
        array[...] = values
        return
    flat = array.flat
    for number, draw in enumerate(values if isinstance(values, tuple) else (values,)):
        for start in range(0, array.size, BLOCK):
            block = slice(start, min(start + BLOCK, array.size))
            drawn = draw(block.stop - block.start)
            flat[block] = flat[block] * drawn if number else drawn


def check_filler(filler: FillerParameter, fail: Callable[..., NoReturn] | None = None) -> None:
    """Refuse an unknown filler, as `fill` does, before there is an array to fill."""
    if filler.type in FILLERS:
        return
    message, expected = f'unknown filler "{filler.type}"', f"one of {', '.join(FILLERS)}"
    hint = did_you_mean(filler.type, FILLERS)
    if fail is not None:
        fail(message, expected=expected, hint=hint)
    raise NetError(Problem(message, filler.span("type"), expected, hint))


def fan(shape: Shape, filler: FillerParameter) -> float:
    """n of xavier and msra: how many connections an output has (FAN_IN), an input has (FAN_OUT), or
    the mean of the two (AVERAGE).

    Weights are (outputs, inputs, ...kernel), so an output has count / shape[0] connections and an
    input count / shape[1]; with one axis only, count."""
    if not shape:
        raise _Refused(f"a {filler.type} filler cannot fill a scalar", 'type: "constant"')
    count = math.prod(shape)
    fan_in = count / shape[0]
    fan_out = count / shape[1] if len(shape) > 1 else count
    return {
        VarianceNorm.FAN_IN: fan_in,
        VarianceNorm.FAN_OUT: fan_out,
        VarianceNorm.AVERAGE: (fan_in + fan_out) / 2,
    }[filler.variance_norm]


def _constant(shape: Shape, filler: FillerParameter, rng: np.random.Generator) -> Array:
    """x = value."""
    return np.broadcast_to(np.float64(filler.value), shape)  # one value in memory, whatever shape


def _uniform(shape: Shape, filler: FillerParameter, rng: np.random.Generator) -> Draw:
    """x ~ U(min, max)."""
    low, high = filler.min, filler.max
    if low > high:
        raise _Refused(f"min {low:g} is above max {high:g}", "min no greater than max", "min")
    return lambda n: rng.uniform(low, high, n)


def _gaussian(shape: Shape, filler: FillerParameter, rng: np.random.Generator) -> Draw | Draws:
    """x ~ N(mean, std²); with `sparse`, each x is kept with probability sparse / outputs, else 0.

    The outputs are shape[0], as in Caffe: the expected number of non-zero inputs of one output is
    therefore sparse · inputs / outputs."""

    def normal(n: int) -> Array:
        return rng.normal(filler.mean, filler.std, n)

    if filler.sparse == -1:
        return normal
    outputs = shape[0] if shape else 1
    if filler.sparse > outputs:
        raise _Refused(
            f"sparse is {filler.sparse}", f"-1, or 0 to {outputs}, the outputs", "sparse"
        )
    return normal, lambda n: rng.random(n) < filler.sparse / outputs


def _xavier(shape: Shape, filler: FillerParameter, rng: np.random.Generator) -> Draw:
    """x ~ U(-a, a) with a = √(3/n), so that Var x = 1/n; n is `fan`. Glorot & Bengio 2010."""
    a = math.sqrt(3 / fan(shape, filler))
    return lambda n: rng.uniform(-a, a, n)


def _msra(shape: Shape, filler: FillerParameter, rng: np.random.Generator) -> Draw:
    """x ~ N(0, 2/(1 + α²)/n); n is `fan`. The 2 makes up for ReLU's zeros, 1 + α² for the slope α
    of a PReLU. He, Zhang, Ren & Sun 2015, equation 15."""
    std = math.sqrt(2 / (1 + filler.alpha**2) / fan(shape, filler))
    return lambda n: rng.normal(0.0, std, n)


def _positive_unitball(shape: Shape, filler: FillerParameter, rng: np.random.Generator) -> Array:
    """x_ij = u_ij / Σ_j u_ij with u ~ U(0, 1): each output's inputs add up to 1."""
    if not shape:
        raise _Refused("a positive_unitball filler cannot fill a scalar", 'type: "constant"')
    u: Array = rng.random(shape)
    u /= u.sum(axis=tuple(range(1, len(shape))), keepdims=True)
    return u


def _gaussian_unitball(shape: Shape, filler: FillerParameter, rng: np.random.Generator) -> Array:
    """Normal random numbers, each row of which is made 1 long (happynear's fork)."""
    if not shape:
        raise _Refused("a gaussian_unitball filler cannot fill a scalar", 'type: "constant"')
    rows = rng.standard_normal((shape[0], math.prod(shape[1:])))
    length = np.sqrt(np.square(rows).sum(1, keepdims=True) + 1e-12)
    result: Array = (rows / length).reshape(shape)
    return result


def _bilinear(shape: Shape, filler: FillerParameter, rng: np.random.Generator) -> Array:
    """x_..ij = (1 - |i/f - c|)(1 - |j/f - c|), f = ⌈K/2⌉, c = (K - 1) / 2f, for a K x K kernel.

    In a Deconvolution with kernel_size 2s - s % 2, stride s, pad ⌈(s - 1)/2⌉ and group = num_output
    = channels, it enlarges s times by bilinear interpolation. Long, Shelhamer & Darrell 2015."""
    if len(shape) != 4 or shape[2] != shape[3]:
        raise _Refused(
            f"a bilinear filler cannot fill {' x '.join(map(str, shape)) or 'a scalar'}",
            "weights of 4 axes with a square kernel, those of a Deconvolution",
        )
    size = shape[3]
    f = math.ceil(size / 2)
    c = (size - 1) / (2 * f)
    line = 1 - np.abs(np.arange(size) / f - c)
    return np.broadcast_to(np.outer(line, line), shape)


FILLERS: dict[str, Filler] = {
    "constant": _constant,
    "uniform": _uniform,
    "gaussian": _gaussian,
    "xavier": _xavier,
    "msra": _msra,
    "positive_unitball": _positive_unitball,
    "gaussian_unitball": _gaussian_unitball,
    "bilinear": _bilinear,
}
"""All fillers by the name that net files use."""
