"""What a layer promises about its gradients."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from caffelite.testing.bench import Bench
from caffelite.testing.contract import (
    FLOAT64,
    Subject,
    fail,
    needs,
    needs_backward,
    promise,
    same,
)
from caffelite.testing.gradients import Result, compare


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
        (f"parameter {i}", bench.start_params[i], layer.params[i].diff)
        for i in bench.learned
        if i not in layer.by_rule
    ]
    checked = [(name, x, gradient.copy()) for name, x, gradient in checked]
    return [compare(name, f, x, g, rng, magnitude=magnitude) for name, x, g in checked]


@promise(FLOAT64)
def gradients_are_right(subject: Subject) -> None:
    """The gradient of each bottom and parameter agrees with measured slopes, in float64."""
    bench = subject.bench()
    needs_backward(bench)
    needs(subject.case.gradient, "this case says that its values lie on a kink")
    results = gradient_results(bench)
    wrong = [str(r) for r in results if not r.ok]
    if wrong:
        fail("; ".join(wrong))
    edges = [r.name for r in results if r.kinks == r.directions]
    if edges:
        fail(f"{edges}: all values lie on a kink; choose others, or say gradient=False")


@promise(together=True)
def every_gradient_has_a_case(subjects: Sequence[Subject]) -> None:
    """Each bottom and parameter with a gradient has a case that says nothing of a kink."""
    exists: set[str] = set()
    checked: set[str] = set()
    for subject in subjects:
        bench = subject.bench()
        names = {f"bottom {i}" for i in bench.differentiable}
        names |= {f"parameter {i}" for i in bench.learned if i not in bench.layer.by_rule}
        exists |= names
        checked |= names if subject.case.gradient else set()
    needs(exists, "has no gradient to pass and nothing to learn")
    if exists != checked:
        fail(f"no case checks the gradient of {', '.join(sorted(exists - checked))}")


@promise()
def gradients_overwrite_and_accumulate(subject: Subject) -> None:
    """Bottom gradients are overwritten, parameter gradients are added to."""
    bench = subject.bench().run()
    needs_backward(bench)
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


@promise()
def fresh_gradients_are_written(subject: Subject) -> None:
    """Where the layer declares `overwrites`, the first backward pass after gradients have been
    cleared writes the parameters' gradients, whatever lies there."""
    bench = subject.bench().run()
    needs_backward(bench)
    needs(bench.learned, "has nothing to learn")
    needs(bench.layer.overwrites, "does not declare `overwrites`: its gradients are cleared for it")
    other = subject.bench()
    other.forward()
    for i in other.learned:
        other.layer.params[i].diff[...] = np.nan
    other.layer.gradients.fresh = True
    other.backward()
    same(other.results(), bench.results(), subject.loose, "over old gradients")


@promise()
def unneeded_gradients_may_be_none(subject: Subject) -> None:
    """A bottom whose gradient is not needed changes nothing for the others."""
    bench = subject.bench().run()
    needs_backward(bench)
    needs(bench.differentiable, "has no bottom with a gradient")
    everything = bench.results()
    for left_out in [*([i] for i in bench.differentiable), bench.differentiable]:
        other = subject.bench()
        other.forward()
        other.backward(without=left_out)
        names = [f"gradient of bottom {i}" for i in left_out]
        kept = {k: v for k, v in everything.items() if k not in names}
        same(other.results(), kept, subject.loose, f"without the gradient of bottoms {left_out}")


@promise()
def backward_reads_what_it_says(subject: Subject) -> None:
    """What is not in `backward_reads` may be overwritten before the backward pass."""
    bench = subject.bench().run()
    reads = bench.layer.backward_reads
    if not set(reads) <= {"bottom", "top"}:
        fail(f'backward_reads is {reads}, of which only "bottom" and "top" mean something')
    needs_backward(bench)
    other = subject.bench()
    other.forward()
    for word, arrays in (("bottom", other.bottom), ("top", other.top)):
        if word not in reads:
            for array in arrays:
                array[...] = np.nan
    other.backward()
    gradients = {k: v for k, v in bench.results().items() if k.startswith("gradient")}
    same(other.results(), gradients, 0, f"reading only {list(reads)}")
