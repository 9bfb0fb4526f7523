"""What every layer promises, one function a promise: see `caffelite.layers.base`.

Each takes a `Subject` (a case, a dtype) and raises `Broken` with what is wrong. Where a promise
says nothing about a layer (no gradient, no bottoms), it returns the reason in words.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, NoReturn

import numpy as np

from caffelite.blob import Array
from caffelite.errors import NetError, Source
from caffelite.gradcheck import Result, compare
from caffelite.layers.base import Layer
from caffelite.layers.cases import Case
from caffelite.schema.bind import bind
from caffelite.schema.net import NetParameter
from caffelite.text import parse

from .bench import Bench, message_of


class Broken(AssertionError):
    """A promise that a layer does not keep."""


@dataclass(frozen=True)
class Subject:
    """A case of a layer, in one dtype. `cls` is for layers that are not registered."""

    case: Case
    dtype: type = np.float64
    cls: type[Layer] | None = None
    folder: str = ""

    def bench(self) -> Bench:
        return Bench(self.case, self.dtype, self.cls, self.folder)

    @property
    def loose(self) -> float:
        """What another order of additions may change."""
        return 1e-5 if self.dtype == np.float32 else 1e-12


Promise = Callable[[Subject], "str | None"]

PROMISES: list[Promise] = []


def promise(check: Promise) -> Promise:
    PROMISES.append(check)
    return check


NO_BACKWARD = "has no gradient to pass and nothing to learn"


def off(found: Array, expected: Array, tolerance: float) -> str | None:
    """How two arrays differ by more than tolerance · max(1, largest expected value), if so."""
    if found.shape != expected.shape:
        return f"has the shape {found.shape}, expected {expected.shape}"
    finite = np.isfinite(expected)
    if not np.array_equal(finite, np.isfinite(found)):
        return f"is {found.tolist()}, expected {expected.tolist()}"
    if not np.array_equal(found[~finite], expected[~finite], equal_nan=True):
        return f"is {found.tolist()}, expected {expected.tolist()}"
    a, b = np.asarray(found, np.float64)[finite], np.asarray(expected, np.float64)[finite]
    error = float(np.abs(a - b).max(initial=0))
    limit = tolerance * max(1.0, float(np.abs(b).max(initial=0)))
    return None if error <= limit else f"is off by {error:.3g} (limit {limit:.2g})"


def same(found: dict[str, Array], expected: dict[str, Array], tolerance: float, when: str) -> None:
    for name, value in expected.items():
        difference = off(found[name], value, tolerance)
        if difference:
            raise Broken(f"{when}, {name} {difference}")


def fail(message: str) -> NoReturn:
    raise Broken(message)


@promise
def tops_are_written_as_declared(subject: Subject) -> str | None:
    """One shape for each top; forward fills all of it, whatever was there before."""
    bench = subject.bench()
    layer, wanted = bench.layer, len(bench.layer.spec.top)
    if len(layer.top_shapes) != wanted:
        fail(f"reshape declares {len(layer.top_shapes)} shapes for {wanted} tops")
    again = [tuple(s) for s in layer.reshape(layer.bottom_shapes)]
    if not layer.dynamic and again != layer.top_shapes:
        fail(f"reshape declares {layer.top_shapes}, then {again}")
    bench.forward()
    if layer.dynamic:
        bench.make_tops()
        bench.forward()
    first = bench.results()
    other = subject.bench()
    other.make_tops(fill=7)
    other.forward()
    kept = layer.source and all(np.isnan(t).all() for t in bench.top)
    if kept and all((t == 7).all() for t in other.top):
        return "keeps in its tops what the user put there"
    same(other.results(), {k: v for k, v in first.items() if "top" in k}, 0, "over old values")
    return None


@promise
def outputs_are_as_expected(subject: Subject) -> str | None:
    """The tops are what was worked out by hand, in shape and value."""
    case = subject.case
    if not case.outputs:
        return "this case gives no expected values"
    bench = subject.bench()
    if bench.layer.source:
        bench.make_tops(fill=0)
    bench.forward()
    tolerance = 2e-5 if subject.dtype == np.float32 else 2e-6
    for name, value in case.outputs.items():
        top = bench.top[case.top_names.index(name)]
        difference = off(top, np.asarray(value, np.float64), tolerance)
        if difference:
            fail(f'top "{name}" {difference}')
    return None


@promise
def inputs_are_untouched(subject: Subject) -> str | None:
    """No pass changes a bottom; backward changes no top and no gradient at a top."""
    bench = subject.bench()

    def held() -> dict[str, Array]:
        return {f"bottom {i}": b.copy() for i, b in enumerate(bench.bottom)}

    before = held()
    bench.forward()
    same(held(), before, 0, "after forward")
    if not bench.has_backward:
        return None

    def tops() -> dict[str, Array]:
        values = {f"top {i}": t.copy() for i, t in enumerate(bench.top)}
        return values | {f"gradient of top {i}": t.copy() for i, t in enumerate(bench.top_diff)}

    after_forward = tops()
    bench.backward()
    same(held(), before, 0, "after backward")
    same(tops(), after_forward, 0, "after backward")
    return None


@promise
def layout_does_not_matter(subject: Subject) -> str | None:
    """Bottoms with gaps and in column order give what contiguous ones give."""
    bench, other = subject.bench().run(), subject.bench()
    if not bench.bottom:
        return "has no bottoms"
    for i, array in enumerate(other.bottom):
        scattered = np.empty((*array.shape[::-1], 2), array.dtype)[..., 0].T
        scattered[...] = array
        other.bottom[i] = scattered
    same(other.run().results(), bench.results(), subject.loose, "with scattered bottoms")
    return None


class Watched(np.ndarray):
    """An array that tells of every array made from it in another floating type."""

    strange: list[str] = []
    expected: np.dtype = np.dtype(np.float64)
    smallest: int = 2

    def __array_finalize__(self, made_from: object) -> None:
        strange = self.dtype.kind == "f" and self.dtype != Watched.expected
        if strange and self.size >= Watched.smallest:
            Watched.strange.append(f"{self.dtype.name} {self.shape}")


@promise
def dtype_stays(subject: Subject) -> str | None:
    """Nothing as large as a bottom is computed in another floating type, and in float32 nothing
    is kept in float64."""
    bench = subject.bench()
    Watched.strange, Watched.expected = [], bench.dtype
    Watched.smallest = max([2, *(b.size for b in bench.bottom[:1])])
    try:
        bench.bottom = [b.view(Watched) for b in bench.bottom]
        bench.top_diff = [d.view(Watched) for d in bench.top_diff]
        bench.run()
        strange = Watched.strange
    finally:
        Watched.expected, Watched.smallest = np.dtype(np.float64), 1 << 62
    if strange:
        fail(f"from {bench.dtype.name} makes {strange[0]}")
    for name, value in vars(bench.layer).items():
        wide = isinstance(value, np.ndarray) and value.dtype == np.float64 and value.size > 1
        if wide and bench.dtype == np.float32:
            fail(f"in float32 keeps {name} as float64")
    for array in (*bench.top, *bench.bottom_diff):
        if array.dtype != bench.dtype:
            fail(f"in {bench.dtype.name} writes {array.dtype.name}")
    return None


def gradient_results(bench: Bench) -> list[Result]:
    """Every gradient of the layer held against slopes."""
    bench.run()
    layer, rng = bench.layer, np.random.default_rng(8)
    start = [t.copy() for t in bench.top]
    weights = [d.copy() for d in bench.top_diff]
    magnitude = sum(float(np.abs(d * t).sum()) for d, t in zip(weights, start)) + 1.0

    def f() -> float:
        bench.forward()
        return sum(float(np.sum(d * (t - s))) for d, t, s in zip(weights, bench.top, start))

    checked = [(f"bottom {i}", bench.bottom[i], bench.bottom_diff[i]) for i in bench.differentiable]
    checked += [
        (f"parameter {i}", bench.start_params[i], layer.params[i].diff) for i in bench.learned
    ]
    checked = [(name, x, gradient.copy()) for name, x, gradient in checked]
    return [compare(name, f, x, g, rng, magnitude=magnitude) for name, x, g in checked]


@promise
def gradients_are_right(subject: Subject) -> str | None:
    """The gradient of each bottom and parameter agrees with measured slopes."""
    if subject.dtype != np.float64:
        return "measured in float64"
    bench = subject.bench()
    if not bench.has_backward:
        return NO_BACKWARD
    if not subject.case.gradient:
        return "this case says that its values lie on a kink"
    results = gradient_results(bench)
    wrong = [str(r) for r in results if not r.ok]
    if wrong:
        fail("; ".join(wrong))
    edges = [r.name for r in results if r.kinks == r.directions]
    if edges:
        fail(f"{edges}: all values lie on a kink; choose others, or say gradient=False")
    return None


@promise
def gradients_overwrite_and_accumulate(subject: Subject) -> str | None:
    """Bottom gradients are overwritten, parameter gradients are added to."""
    bench = subject.bench().run()
    if not bench.has_backward:
        return NO_BACKWARD
    first = bench.results()
    other = subject.bench()
    other.forward()
    for diff in other.bottom_diff:
        diff[...] = np.inf
    other.backward()
    same(other.results(), first, 0, "with old values in the diffs")
    other.backward()
    for i in other.learned:
        first[f"gradient of parameter {i}"] *= 2
    same(other.results(), first, subject.loose, "after a second backward pass")
    return None


@promise
def unwanted_gradients_may_be_none(subject: Subject) -> str | None:
    """A bottom whose gradient nobody wants changes nothing for the others."""
    bench = subject.bench().run()
    if not bench.has_backward:
        return NO_BACKWARD
    if not bench.bottom:
        return "has no bottoms"
    everything = bench.results()
    for left_out in [*([i] for i in bench.differentiable), bench.differentiable]:
        other = subject.bench()
        other.forward()
        other.backward(without=left_out)
        names = [f"gradient of bottom {i}" for i in left_out]
        kept = {k: v for k, v in everything.items() if k not in names}
        same(other.results(), kept, subject.loose, f"without the gradient of bottoms {left_out}")
    return None


@promise
def a_seed_repeats(subject: Subject) -> str | None:
    """All chance comes from the layer's stream."""
    bench = subject.bench().run()
    first = bench.results()
    same(bench.run().results(), first, 0, "from the same stream, in a second pass")
    same(subject.bench().run().results(), first, 0, "from the same seed")
    return None


@promise
def in_place_is_the_same(subject: Subject) -> str | None:
    """An `in_place` layer may share an array between bottom and top, and between their diffs."""
    bench = subject.bench().run()
    if not bench.layer.in_place:
        return "does not work in place"
    other = subject.bench()
    if other.top[0].shape != other.bottom[0].shape:
        fail(f"works in place, yet makes {other.top[0].shape} of {other.bottom[0].shape}")
    other.top[0] = other.bottom[0]
    other.forward()
    expected = bench.results()
    if "bottom" in other.layer.backward_reads:
        # a net shares nothing then, unless it is not going to run backward
        expected = {name: v for name, v in expected.items() if name.startswith("top")}
    elif other.has_backward:
        other.bottom_diff[0] = other.top_diff[0]
        other.backward()
    same(other.results(), expected, subject.loose, "in place")
    return None


@promise
def backward_reads_what_it_says(subject: Subject) -> str | None:
    """What is not in `backward_reads` may be overwritten before the backward pass."""
    bench = subject.bench().run()
    reads = bench.layer.backward_reads
    if not set(reads) <= {"bottom", "top"}:
        fail(f'backward_reads is {reads}, of which only "bottom" and "top" mean something')
    if not bench.has_backward:
        return NO_BACKWARD
    other = subject.bench()
    other.forward()
    for word, arrays in (("bottom", other.bottom), ("top", other.top)):
        if word not in reads:
            for array in arrays:
                array[...] = np.nan
    other.backward()
    gradients = {k: v for k, v in bench.results().items() if k.startswith("gradient")}
    same(other.results(), gradients, 0, f"reading only {list(reads)}")
    return None


@promise
def another_batch_size_and_back(subject: Subject) -> str | None:
    """After a pass over larger bottoms and a reshape back, all is as before."""
    bench = subject.bench().run()
    if not bench.bottom:
        return "has no bottoms"
    first = bench.results()
    small, count = bench.bottom, len(bench.bottom)
    refusal = ""
    # twice the batch, for all bottoms or all but the last (a matrix, say); where axis 0 is time
    # or has to be 1, twice axis 1
    for axis, which in [(0, count), (0, count - 1), (1, count)]:
        other = subject.bench().run()
        grown = [doubled(b, axis) if i < which else b for i, b in enumerate(small)]
        try:
            other.reshape(grown)
        except NetError as error:
            refusal = refusal or f"refuses another batch size: {error.problems[0].message}"
            continue
        other.run()
        other.reshape(small)
        same(other.run().results(), first, subject.loose, "after another batch size")
        return None
    return refusal


def doubled(array: Array, axis: int) -> Array:
    return np.concatenate([array, array], axis) if array.ndim > axis else array


@promise
def text_comes_back(subject: Subject) -> str | None:
    """The layer's message, printed and read again, is the same message."""
    message = message_of(subject.case)
    text = str(NetParameter(layer=[message]))
    if bind(parse(Source("<printed>", text)), NetParameter).layer[0] != message:
        fail(f"reads back as something else:\n{text}")
    return None


class Verdict(NamedTuple):
    """By the promises' names: what is wrong; why a promise says nothing about this layer."""

    broken: dict[str, str]
    excused: dict[str, str]


def judge(subject: Subject) -> Verdict:
    """Hold all promises against a layer."""
    verdict = Verdict({}, {})
    for check in PROMISES:
        try:
            reason = check(subject)
            if reason is not None:
                verdict.excused[check.__name__] = reason
        except Exception as error:  # a crash breaks the promise as well
            kind = "" if isinstance(error, Broken) else f"{type(error).__name__}: "
            verdict.broken[check.__name__] = f"{kind}{error}"
    return verdict
