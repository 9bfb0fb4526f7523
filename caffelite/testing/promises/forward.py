"""What a layer promises about its tops, and about what it leaves alone."""

from __future__ import annotations

import numpy as np

from caffelite.blob import Array
from caffelite.testing.contract import Subject, fail, needs, off, promise, same


@promise()
def tops_are_written_as_declared(subject: Subject) -> None:
    """One shape for each top; forward fills all of it, whatever was there before."""
    bench = subject.bench()
    layer, count = bench.layer, len(bench.layer.spec.top)
    if len(layer.top_shapes) != count:
        fail(f"reshape declares {len(layer.top_shapes)} shapes for {count} tops")
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
    kept = kept and all((t == 7).all() for t in other.top)
    needs(not kept, "keeps in its tops what the user put there")
    same(other.results(), {k: v for k, v in first.items() if "top" in k}, 0, "over old values")


@promise()
def outputs_are_as_expected(subject: Subject) -> None:
    """The tops are what was worked out by hand, in shape and value."""
    case = subject.case
    needs(case.outputs, "this case gives no expected values")
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


@promise()
def inputs_are_untouched(subject: Subject) -> None:
    """No pass changes a bottom; backward changes no top and no gradient at a top."""
    bench = subject.bench()

    def bottoms() -> dict[str, Array]:
        return {f"bottom {i}": b.copy() for i, b in enumerate(bench.bottom)}

    def tops() -> dict[str, Array]:
        values = {f"top {i}": t.copy() for i, t in enumerate(bench.top)}
        return values | {f"gradient of top {i}": t.copy() for i, t in enumerate(bench.top_diff)}

    before = bottoms()
    bench.forward()
    same(bottoms(), before, 0, "after forward")
    if bench.has_backward:
        after_forward = tops()
        bench.backward()
        same(bottoms(), before, 0, "after backward")
        same(tops(), after_forward, 0, "after backward")


@promise()
def layout_does_not_matter(subject: Subject) -> None:
    """Bottoms with gaps and in column order give what contiguous ones give."""
    bench, other = subject.bench().run(), subject.bench()
    needs(bench.bottom, "has no bottoms")
    for i, array in enumerate(other.bottom):
        scattered = np.empty((*array.shape[::-1], 2), array.dtype)[..., 0].T
        scattered[...] = array
        other.bottom[i] = scattered
    same(other.run().results(), bench.results(), subject.loose, "with scattered bottoms")


class Watched(np.ndarray):
    """An array that notes every array made from it in another floating type."""

    strange: list[str] = []
    expected: np.dtype = np.dtype(np.float64)
    smallest: int = 2

    def __array_finalize__(self, made_from: object) -> None:
        strange = self.dtype.kind == "f" and self.dtype != Watched.expected
        if strange and self.size >= Watched.smallest:
            Watched.strange.append(f"{self.dtype.name} {self.shape}")


@promise()
def dtype_stays(subject: Subject) -> None:
    """Nothing as large as a bottom is computed in another floating type, and in float32 nothing
    is kept in float64."""
    needs(subject.engine == "numpy", "looks into NumPy's computations only")
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


@promise()
def a_seed_repeats(subject: Subject) -> None:
    """All chance comes from the layer's stream."""
    bench = subject.bench().run()
    first = bench.results()
    same(bench.run().results(), first, 0, "from the same stream, in a second pass")
    same(subject.bench().run().results(), first, 0, "from the same seed")


@promise()
def in_place_is_the_same(subject: Subject) -> None:
    """An `in_place` layer may share an array between bottom and top, and between their diffs."""
    bench = subject.bench().run()
    needs(bench.layer.in_place, "does not work in place")
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
