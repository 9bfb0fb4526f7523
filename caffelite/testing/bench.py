"""A bench: one layer of one case, run without a net."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np

from caffelite.blob import Array, Blob, Handed
from caffelite.errors import Source
from caffelite.layers.base import Context, Layer, LossLayer, registry
from caffelite.layers.cases import Case
from caffelite.schema.bind import bind
from caffelite.schema.net import LayerParameter, NetParameter
from caffelite.streams import Streams
from caffelite.testing.engines import ENGINES
from caffelite.text import parse


def message_of(case: Case) -> LayerParameter:
    """The case's layer as a message, the caller's own."""
    return _read(case.layer_text()).copy()


@cache
def _read(text: str) -> LayerParameter:
    return bind(parse(Source("<case>", text)), NetParameter).layer[0]


class Bench:
    """A layer of a case, set up as a net does it, with arrays for its tops and gradients.

    Inputs, parameters and top gradients are drawn from fixed seeds, alike for every dtype. `engine`
    names what runs the passes: `caffelite.testing.engines`. `planned` is another bench's planned
    layer, to be run here too."""

    def __init__(
        self,
        case: Case,
        dtype: type = np.float64,
        cls: type[Layer] | None = None,
        folder: str = "",
        engine: str = "numpy",
        planned: Layer | None = None,
    ) -> None:
        self.case, self.dtype = case, np.dtype(dtype)
        spec = message_of(case)
        spec.phase = case.phase
        cls = cls or registry[spec.type]
        if cls.tops[1] == 0:
            spec.top = []
        self.streams = Streams(1)
        context = Context(case.phase, dtype, "", folder)
        new = planned is None
        planned = cls(spec, context) if planned is None else planned
        self.planned = planned
        """The layer as a plan has it; `layer` is its running copy."""
        inputs = case.arrays(np.random.default_rng(5))
        self.bottom: list[Array] = [np.array(v, self.dtype) for v in inputs.values()]
        if new:
            planned.setup([b.shape for b in self.bottom])
            planned.reshape([b.shape for b in self.bottom])
        rng = np.random.default_rng(6)
        params: list[Blob] = []
        learns: list[bool] = []
        for i, declared in enumerate(planned.declared):
            if i < len(case.params):
                value = np.broadcast_to(case.params[i], declared.shape)
            elif declared.fixed:
                value = np.full(declared.shape, declared.filler.value)
            else:
                value = rng.uniform(-1, 1, declared.shape)
            params.append(Blob(np.array(value, self.dtype)))
            mult = spec.param[i].lr_mult if i < len(spec.param) else 1.0
            learns.append(not declared.fixed and mult != 0)
        self.layer = layer = planned.started(params, learns, self.streams)
        self._infer()
        self.passes = ENGINES[engine](layer)
        self._prepare()
        self.start_params = [p.data.copy() for p in layer.params]
        self._start_state = layer.state()
        self.make_tops()

    def _infer(self) -> None:
        layer = self.layer
        layer.bottom_shapes = [b.shape for b in self.bottom]
        layer.top_shapes = [tuple(s) for s in layer.reshape(layer.bottom_shapes)]

    def _prepare(self) -> None:
        self.layer.prepare()
        self.passes.prepare()

    def make_tops(self, fill: float = np.nan) -> None:
        """New arrays for tops and gradients; the gradients at the tops are drawn anew."""
        shapes, rng = self.layer.top_shapes, np.random.default_rng(7)
        self.top = [np.full(shape, fill, self.dtype) for shape in shapes]
        self.top_diff = [np.array(rng.uniform(0.5, 1.5, s), self.dtype) for s in shapes]
        for diff in self.top_diff:
            diff *= rng.choice([-1, 1], diff.shape).astype(self.dtype)
        if isinstance(self.layer, LossLayer):
            for extra in self.top_diff[1:]:  # a loss passes back only what comes to the loss
                extra[...] = 0
        self.bottom_diff = [np.full(b.shape, fill, self.dtype) for b in self.bottom]

    def reshape(self, bottom: Sequence[Array]) -> None:
        """Other inputs, of other shapes perhaps. Raises NetError if the layer refuses them."""
        self.bottom = list(bottom)
        self._infer()
        self._prepare()
        self.make_tops()

    def rewind(self) -> None:
        """Back to the start: chance, statistics, the place in the data; parameter diffs zero."""
        for blob, value in zip(self.layer.params, self.start_params):
            blob.data[...] = value
            blob.diff[...] = 0
        self.streams.restore({"seed": self.streams.seed, "streams": {}})
        self.layer.restore(self._start_state)

    def forward(self) -> None:
        """From the start, so that every forward pass is the same."""
        self.rewind()
        layer = self.layer
        if layer.dynamic:
            shapes = [tuple(s) for s in layer.reshape_to(self.bottom)]
            if shapes != layer.top_shapes:
                layer.top_shapes = shapes
                self._prepare()
            if shapes != [t.shape for t in self.top]:
                self.make_tops()
        self.passes.forward(Handed(self.bottom), Handed(self.top))

    @property
    def differentiable(self) -> list[int]:
        """The bottoms that get a gradient."""
        return [i for i in range(len(self.bottom)) if self.layer.propagates(i)]

    @property
    def learned(self) -> list[int]:
        """The parameters that get a gradient."""
        return [i for i, learns in enumerate(self.layer.learns) if learns]

    @property
    def has_backward(self) -> bool:
        return bool(self.differentiable or self.learned)

    def backward(self, without: Sequence[int] = ()) -> None:
        """For all bottoms that get a gradient but those in `without`; they get None."""
        wanted = [i for i in self.differentiable if i not in without]
        diffs = Handed(d if i in wanted else None for i, d in enumerate(self.bottom_diff))
        ends = Handed(self.top), Handed(self.top_diff), Handed(self.bottom)
        self.passes.backward(*ends, diffs)

    def run(self) -> Bench:
        """Forward, and backward if there is one."""
        self.forward()
        if self.has_backward:
            self.backward()
        return self

    def results(self) -> dict[str, Array]:
        """Copies of all that a pass makes: tops, changed parameters, gradients."""
        layer = self.layer
        found = {f"top {i}": t.copy() for i, t in enumerate(self.top)}
        found |= {f"parameter {i}": p.data.copy() for i, p in enumerate(layer.params)}
        if self.has_backward:
            found |= {
                f"gradient of bottom {i}": self.bottom_diff[i].copy() for i in self.differentiable
            }
            found |= {
                f"gradient of parameter {i}": layer.params[i].diff.copy() for i in self.learned
            }
        return found
