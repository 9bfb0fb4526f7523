"""Verification: a model beside the net that it was made from, blob by blob."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.errors import CaffeliteError, Problem
from caffelite.layers.base import Layer
from caffelite.layers.samples import random_inputs
from caffelite.onnx.alone import forward_alone
from caffelite.onnx.dims import ROW_AXIS
from caffelite.onnx.export import Exported
from caffelite.onnx.memory import forget
from caffelite.onnx.runtime import OpenCV, Runtime

if TYPE_CHECKING:
    from caffelite.net import Net

TOLERANCE = 1e-4
"""Relative to the largest value of the blob."""
WIDTH = 80
TINY = 1e-6
"""Blobs smaller than that are compared as if this were their largest value."""
ALONE = "on the model's own bottoms"
STEPS = ("ArgMax", "Threshold", "Pooling", *ROW_AXIS)
"""Types of which a slightly different bottom can make a very different top."""


@dataclass(frozen=True)
class Row:
    """One blob compared."""

    blob: str
    layer: str
    type: str
    shape: Shape
    error: float
    """The largest difference over the largest value."""
    note: str = ""


@dataclass
class Report:
    """What was compared with what, and how far it differs."""

    witness: str
    inputs: str
    rows: list[Row] = field(default_factory=list)
    tolerance: float = TOLERANCE

    @property
    def worst(self) -> Row | None:
        """The row with the largest error."""
        return max(self.rows, key=lambda r: r.error, default=None)

    @property
    def first_wrong(self) -> Row | None:
        """The first row over the tolerance, in the order in which the net runs."""
        return next((r for r in self.rows if not r.error <= self.tolerance), None)

    def __str__(self) -> str:
        if not self.rows:
            return f"{self.witness}, {self.inputs}: nothing to compare"
        lines = [f"{self.witness}, {self.inputs}:"]
        width = max(len(r.blob) for r in self.rows)
        kinds = max(len(r.type) for r in self.rows)
        for r in self.rows:
            mark = "" if r.error <= self.tolerance else "  <-- over the tolerance"
            shape = " x ".join(map(str, r.shape)) or "scalar"
            note = f"  ({r.note})" if r.note else ""
            line = f"  {r.blob:<{width}}  {r.type:<{kinds}}  {shape:<18} {r.error:.1e}"
            lines.append(in_lines(line + note + mark))
        worst = self.worst
        assert worst is not None
        last = f"  largest error {worst.error:.1e} of the largest value, at "
        lines.append(in_lines(last + f'"{worst.blob}"; tolerance {self.tolerance:g}'))
        return "\n".join(lines)


def in_lines(text: str) -> str:
    """A text in lines of a terminal's usual width."""
    return textwrap.fill(
        text, WIDTH, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False
    )


def relative_error(found: Array, expected: Array, scale: float = 0.0) -> float:
    """The largest difference over the largest expected value, or over `scale` if that is larger;
    infinite where shapes, infinities or NaNs differ."""
    if found.shape != expected.shape:
        return np.inf
    finite = np.isfinite(expected)
    if not np.array_equal(finite, np.isfinite(found)):
        return np.inf
    if not np.array_equal(found[~finite], expected[~finite], equal_nan=True):
        return np.inf
    a, b = np.float64(found[finite]), np.float64(expected[finite])
    return float(np.abs(a - b).max(initial=0) / max(np.abs(b).max(initial=0), scale, TINY))


def scales(net: Net, expected: Mapping[str, Array]) -> dict[str, float]:
    """By blob what a rounding is measured by where all its values are as good as 0: the largest
    value that its layer reads. Such a blob is, for example, what an Interp picks of the zeros
    between the values of a Deconvolution of stride 2: a weight of 1e-7 instead of 0 for their
    neighbours is no error. 0 for all other blobs."""
    largest: dict[str, float] = {}
    found: dict[str, float] = {}
    for layer in net.layers:
        read = max((largest[name] for name in layer.spec.bottom), default=0.0)
        for name in layer.spec.top:
            finite = expected[name][np.isfinite(expected[name])]
            own = float(np.abs(finite).max(initial=0))
            nothing = own <= TINY * read
            found[name] = read if nothing else 0.0
            largest[name] = read if nothing else own
    return found


def verify(
    exported: Exported,
    net: Net,
    *,
    seed: int = 0,
    given: Mapping[str, Array] | None = None,
    tolerance: float = TOLERANCE,
    batches: tuple[int, ...] = (1, 3),
) -> list[Report]:
    """Run model and net on the same inputs and compare every blob, then the outputs of the model as
    it is. Where the batch may vary, at each of `batches`; with `given` inputs at those alone too.

    The net's inputs are left with other values, and in their old shapes."""
    runtime, plain = Runtime(exported.with_all_blobs()), Runtime(exported.model)
    old = {name: net.blobs[name].shape for name in exported.inputs}
    rng, reports = np.random.default_rng(seed), []
    for what, shapes, values in _trials(exported, old, given, batches):
        inputs = _inputs(exported, net, shapes, values, rng)
        expected = run_net(net, exported, inputs)
        found = runtime.run(inputs)
        report = Report(runtime.name, what, _compare(exported, net, found, expected), tolerance)
        reports.append(report)
        last = plain.run(inputs)
        least = scales(net, expected)
        alone = {row.blob for row in report.rows if row.note}  # right, and not the net's
        rows = [
            _row(
                net,
                blob,
                last[tensor],
                found[tensor] if blob in alone else expected[blob],
                least[blob],
            )
            for blob, tensor in exported.tensors.items()
            if tensor in exported.outputs
        ]
        reports.append(Report(f"{plain.name}, optimised", f"{what}, outputs", rows, tolerance))
    for name, shape in old.items():
        net.blobs[name].reshape(*shape)
    return reports


def witness(
    path: str, exported: Exported, net: Net, *, seed: int = 0, tolerance: float = TOLERANCE
) -> Report:
    """The model in a file beside the net, in OpenCV: the outputs, at the net's own shapes."""
    opencv = OpenCV(path)
    shapes = {name: net.blobs[name].shape for name in exported.inputs}
    inputs = _inputs(exported, net, shapes, {}, np.random.default_rng(seed))
    expected = run_net(net, exported, inputs)
    outputs = {b: t for b, t in exported.tensors.items() if t in exported.outputs}
    every = [x.name for x in exported.model.graph.output]  # OpenCV 5 gives all, or none
    found = opencv.run(inputs, every)
    rows, least = [], scales(net, expected)
    for blob, tensor in outputs.items():
        value = found[tensor]
        if value.size == expected[blob].size:
            value = value.reshape(expected[blob].shape)  # OpenCV has no blobs of one axis
        rows.append(_row(net, blob, value, expected[blob], least[blob]))
    return Report(opencv.name, "random inputs, outputs", rows, tolerance)


def check(reports: list[Report], what: str) -> None:
    """Raise CaffeliteError with the first layer that is over the tolerance, if there is one."""
    for report in reports:
        row = report.first_wrong
        if row is not None:
            raise CaffeliteError(
                Problem(
                    f'{what} differs from the net at layer "{row.layer}" ({row.type}), blob '
                    f'"{row.blob}": by {row.error:.2g} of its largest value',
                    expected=f"at most {report.tolerance:g} ({report.witness}, {report.inputs})",
                )
            )


def _trials(
    exported: Exported,
    shapes: Mapping[str, Shape],
    given: Mapping[str, Array] | None,
    batches: tuple[int, ...],
) -> Iterator[tuple[str, dict[str, Shape], Mapping[str, Array]]]:
    """What is tried: its name, the inputs' shapes, and the values that are given."""
    if not exported.batch:
        yield "random inputs", dict(shapes), {}
    for n in batches if exported.batch else ():
        axes = exported.batch
        sized = {
            name: tuple(n if i == axes.get(name) else extent for i, extent in enumerate(shape))
            for name, shape in shapes.items()
        }
        yield f"random inputs, batch {n}", sized, {}
    if given:
        yield "given inputs", {**shapes, **{n: v.shape for n, v in given.items()}}, given


def _inputs(
    exported: Exported,
    net: Net,
    shapes: Mapping[str, Shape],
    given: Mapping[str, Array],
    rng: np.random.Generator,
) -> dict[str, Array]:
    """Inputs of these shapes, which the net takes over; those that are not given are random."""
    for name, shape in shapes.items():
        net.blobs[name].reshape(*shape)
    net.reshape()
    drawn = random_inputs(net.layers, {n: s for n, s in shapes.items() if n not in given}, rng)
    for name, how in exported.preparations.items():
        if name in drawn:  # so that what the net gets is again about 1
            drawn[name] = drawn[name] / how.scale + (0 if how.mean is None else how.mean)
    return {name: np.asarray(given.get(name, drawn.get(name)), np.float32) for name in shapes}


def run_net(net: Net, exported: Exported, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """All blobs of the net for the model's inputs, copied."""
    for layer in net.layers:
        forget(layer)
    for name, values in inputs.items():
        how = exported.preparations.get(name)
        net.blobs[name].data[...] = how(values) if how else values
    net.forward()
    return {name: blob.data.copy() for name, blob in net.blobs.items()}


def _compare(
    exported: Exported, net: Net, found: Mapping[str, Array], expected: Mapping[str, Array]
) -> list[Row]:
    """A row for each blob. A layer that differs and jumps, or is behind one that finds rows, is
    judged by the bottoms that it had in the model."""
    rows, last = [], {name: i for i, x in enumerate(net.layers) for name in x.spec.top}
    behind, least = behind_finders(net), scales(net, expected)
    for blob, tensor in exported.tensors.items():
        if tensor not in found:
            continue  # an input as it is
        row = _row(net, blob, found[tensor], expected[blob], least[blob])
        if not row.error <= TOLERANCE and (row.type in STEPS or last[blob] in behind):
            row = _judged_alone(exported, net, last[blob], row, found)
        rows.append(row)
    return rows


def behind_finders(net: Net) -> set[int]:
    """The layers that find rows, and all that read what comes of them."""
    behind: set[int] = set()
    reached: set[str] = set()
    for index, layer in enumerate(net.layers):
        if layer.type in ROW_AXIS or reached & set(layer.spec.bottom):
            behind.add(index)
            reached.update(layer.spec.top)
        else:
            reached -= set(layer.spec.top)
    return behind


def _row(net: Net, blob: str, found: Array, expected: Array, scale: float = 0.0) -> Row:
    layer = _maker(net, blob)
    error = relative_error(np.asarray(found), expected, scale)
    return Row(blob, layer.name, layer.spec.type, expected.shape, error)


def _maker(net: Net, blob: str) -> Layer:
    return next(x for x in reversed(net.layers) if blob in x.spec.top)


def _judged_alone(
    exported: Exported, net: Net, index: int, row: Row, found: Mapping[str, Array]
) -> Row:
    """A layer judged by the bottoms that it had in the model: they may differ from the net's within
    the tolerance, and its tops by much. Versions of a blob that are not compared, because a layer
    in place wrote it again, are made anew by their layers, on the model's bottoms of those."""
    given = {**found, **{name: net.blobs[name].data for name in exported.inputs}}
    makers = {tensor: i for i, of in enumerate(exported.tops) for tensor in of}
    compared = set(exported.tensors.values()) | set(exported.inputs)

    def tops(at: int) -> list[Array]:
        layer = net.layers[at]
        return forward_alone(layer, [bottom(name) for name in exported.bottoms[at]])

    def bottom(name: str) -> Array:
        if name in compared:
            return np.asarray(given[name], net.dtype)
        return tops(makers[name])[exported.tops[makers[name]].index(name)]

    try:
        top: Any = tops(index)[list(net.layers[index].spec.top).index(row.blob)]
    except KeyError:  # a bottom that folding did away with
        return row
    error = relative_error(np.asarray(found[exported.tensors[row.blob]]), top)
    return Row(row.blob, row.layer, row.type, top.shape, error, ALONE)
