"""Net: the executor. Allocates the blobs and parameters of a plan, runs forward and backward."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import chain
from types import MappingProxyType
from typing import Any

import numpy as np

from caffelite import weights
from caffelite.arena import Arena
from caffelite.blob import Array, Blob, Shape
from caffelite.build import infer_shapes, plan_net
from caffelite.errors import NetError, Problem, did_you_mean
from caffelite.files import load_net
from caffelite.graph import Node, Version, state_for
from caffelite.layers.base import Context, Layer, show
from caffelite.memory import GradientFlow, Step, place
from caffelite.schema.common import Phase
from caffelite.schema.net import NetParameter
from caffelite.streams import Streams


class Net:
    """A net of one phase: `Net("f.net", caffelite.TEST)`, or with weights
    `Net("f.net", "w.caffemodel", caffelite.TEST)`.

    `source` is a path or a NetParameter. `blobs[name]` is the last version of a blob, `params[
    layer]` the layer's parameters. The seed sets all chance; without one it comes from the
    system. Errors: NetError, with every mistake of the file.
    """

    def __init__(
        self,
        source: str | os.PathLike[str] | NetParameter,
        *args: Any,
        phase: Phase | int | None = None,
        weights: str | None = None,
        level: int = 0,
        stages: Iterable[str] | None = None,
        dtype: Any = np.float32,
        seed: int | None = None,
        streams: Streams | None = None,
        prefix: str = "",
        folder: str | None = None,
        share: Net | None = None,
    ) -> None:
        for arg in args:
            if isinstance(arg, int):
                phase = Phase(arg)
            elif arg is not None:
                weights = os.fspath(arg)
        if phase is None:
            raise TypeError("Net needs a phase: caffelite.TRAIN or caffelite.TEST")
        if isinstance(source, NetParameter):
            self.param, self.folder = source, folder or ""
        else:
            self.param = load_net(source)
            self.folder = folder or os.path.dirname(os.fspath(source))
        self.name = self.param.name
        self.phase = Phase(phase)
        self.dtype = np.dtype(dtype)
        if self.dtype not in (np.float32, np.float64):
            raise TypeError(f"a net is of float32 or float64, not of {self.dtype}")
        self.streams = streams or Streams(seed)
        self.state = state_for(self.param, self.phase, level, list(stages or []))
        context = Context(self.phase, self.dtype, self.streams, prefix, self.folder)
        self._plan = plan_net(self.param, self.state, context)
        self._nodes = self._plan.graph.nodes
        self._last = self._plan.graph.blobs
        self.layers: list[Layer] = self._plan.layers
        self.arena = Arena(self._plan, self.dtype, self.streams, share)
        for layer, blobs, learns in zip(self.layers, self.arena.blobs, self._plan.learns):
            layer.params, layer.learns = blobs, learns
        self._placement = place(self._plan)
        self._data: dict[Version, Array] = {}
        self._dynamic = any(layer.dynamic for layer in self.layers)
        self._blobs: dict[str, Blob] = {}
        self.blobs: Mapping[str, Blob] = MappingProxyType(self._blobs)
        """The last version of each blob, in the order of their first appearance."""
        self._allocate()
        if weights:
            self.copy_from(weights)

    # What pycaffe calls things.

    @property
    def params(self) -> Mapping[str, Sequence[Blob]]:
        """Layer name to its parameters; layers without any are left out."""
        return MappingProxyType({x.name: tuple(x.params) for x in self.layers if x.params})

    @property
    def parameter_count(self) -> int:
        """How many numbers are learned."""
        return self._plan.count

    @property
    def inputs(self) -> list[str]:
        """The tops of Input layers."""
        return [v.name for n in self._nodes if n.spec.type == "Input" for v in n.tops]

    @property
    def outputs(self) -> list[str]:
        """The blobs that no layer reads."""
        return self._plan.graph.outputs

    @property
    def _layer_names(self) -> list[str]:
        return [node.spec.name for node in self._nodes]

    @property
    def layer_dict(self) -> OrderedDict[str, Layer]:
        """Layer name to layer."""
        return OrderedDict(zip(self._layer_names, self.layers))

    @property
    def top_names(self) -> OrderedDict[str, list[str]]:
        return OrderedDict((n.spec.name, [v.name for v in n.tops]) for n in self._nodes)

    @property
    def bottom_names(self) -> OrderedDict[str, list[str]]:
        return OrderedDict((n.spec.name, [v.name for v in n.bottoms]) for n in self._nodes)

    @property
    def blob_loss_weights(self) -> OrderedDict[str, float]:
        """Blob name to its weight in the objective; 0 for most."""
        weight = self._plan.loss_weights
        return OrderedDict((name, weight.get(v, 0.0)) for name, v in self._last.items())

    # Memory.

    def _allocate(self, start: int = 0) -> None:
        """Give every version its array, keeping those whose shape stands, and let the layers from
        `start` on prepare."""
        shapes = self._plan.shapes
        for node in self._nodes:
            for version in node.tops:
                owner = self._placement.owner[version]
                if owner is not version:
                    self._data[version] = self._data[owner]
                elif version not in self._data or self._data[version].shape != shapes[version]:
                    self._data[version] = np.zeros(shapes[version], self.dtype)
        for name, version in self._last.items():
            data, weight = self._data[version], self._plan.loss_weights.get(version)
            if name not in self.blobs:
                self._blobs[name] = Blob(data, None, self._reshaper(version))
            elif self.blobs[name].data is not data:
                self.blobs[name]._replace(data, None)
            else:
                continue
            if weight:
                self.blobs[name].diff.fill(weight)
        for layer in self.layers[start:]:
            layer.prepare()
        self._forward_steps = [self._forward_step(node) for node in self._nodes]
        self._backward_steps: list[list[Step]] | None = None
        self._losses = [(self._data[v], w) for v, w in self._plan.loss_weights.items()]
        self._stale = False

    def _reshaper(self, last: Version) -> Callable[[Shape], None] | None:
        """What `blob.reshape` does: for the tops of Input layers alone, in-place or not."""
        first = last
        while first.previous is not None:
            first = first.previous
        if first.maker.spec.type != "Input":
            return None
        return partial(self._reshape_input, first, last)

    def _arrays(self, versions: Iterable[Version]) -> list[Array]:
        return [self._data[v] for v in versions]

    def _forward_step(self, node: Node) -> Step:
        layer = self.layers[node.index]
        if layer.dynamic:
            return partial(self._forward_dynamic, node)
        apart = [v for v in node.tops if not self._placement.shown(v)]
        if apart and node.spec.type == "Input":
            return partial(self._take_input, apart)
        return partial(layer.forward, self._arrays(node.bottoms), self._arrays(node.tops))

    def _take_input(self, versions: list[Version]) -> None:
        """An input that an in-place layer rewrites is shown, and filled, as its last version; the
        first version, kept because others read it too, is taken from there."""
        for version in versions:
            np.copyto(self._data[version], self.blobs[version.name].data)

    def _forward_dynamic(self, node: Node) -> None:
        """A layer whose top shapes depend on values: what follows it is reshaped as needed."""
        layer = self.layers[node.index]
        shapes = [tuple(s) for s in layer.reshape_to(self._arrays(node.bottoms))]
        if shapes != layer.top_shapes:
            layer.top_shapes = shapes
            self._plan.shapes.update(zip(node.tops, shapes))
            self._infer(node.index + 1)
        layer.forward(self._arrays(node.bottoms), self._arrays(node.tops))

    def _infer(self, start: int = 0) -> None:
        """Shapes anew from the layer `start` on, then memory for what changed."""
        for node in self._nodes[start:]:
            infer_shapes(node, self.layers[node.index], self._plan.shapes)
        self._allocate(start)

    def _reshape_input(self, first: Version, last: Version, shape: Shape) -> None:
        self.layers[first.maker.index].top_shapes[first.top_index] = shape
        self.blobs[first.name]._replace(np.zeros(shape, self.dtype), None)
        self._data[self._placement.owner[last]] = self.blobs[first.name].data
        self._stale = True

    def reshape(self) -> None:
        """Let all shapes follow the inputs', as the next forward pass would."""
        self._infer()

    # Passes.

    def forward_loss(self) -> float:
        """One forward pass; the weighted sum of the losses. The solver's inner loop."""
        if self._stale:
            self._infer()
        if self._dynamic:
            for index in range(len(self.layers)):  # the steps behind may be exchanged underway
                self._forward_steps[index]()
        else:
            for step in self._forward_steps:
                step()
        loss = 0.0
        for array, weight in self._losses:
            loss += weight * float(array if array.ndim == 0 else array.sum())
        return loss

    def backward_all(self) -> None:
        """One backward pass over all layers."""
        if self._backward_steps is None:
            self._backward_steps = self._plan_backward()
        for step in self._flat_backward:
            step()

    def forward(
        self,
        blobs: Iterable[str] | None = None,
        start: str | None = None,
        end: str | None = None,
        **inputs: Any,
    ) -> dict[str, Array]:
        """Run forward, all layers or those from `start` to `end`.

        Keyword arguments fill inputs: `forward(data=x)`. Gives the outputs (or, with `end`, that
        layer's tops) and the named `blobs`, as views of the net's memory: copy what is to outlive
        the next pass."""
        for name, values in inputs.items():
            self._fill(name, values)
        if self._stale:
            self._infer()
        first = self._find_layer(start) if start else 0
        last = self._find_layer(end) if end else len(self._nodes) - 1
        self._in_order(first, last, start, end)
        if first == 0 and end is None:
            self.forward_loss()
        else:
            part = self._nodes[first : last + 1]
            self._placement.before(part, self._data, self.blobs)
            for index in range(first, last + 1):
                self._forward_steps[index]()
            self._placement.after(part, self._data, self.blobs)
        names = [*([] if end else self.outputs), *(blobs or [])]
        tops = {v.name: self._data[v] for v in self._nodes[last].tops} if end else {}
        return tops | {name: self._blob(name).data for name in names}

    def backward(
        self,
        diffs: Iterable[str] | None = None,
        start: str | None = None,
        end: str | None = None,
        **top_diffs: Any,
    ) -> dict[str, Array]:
        """Run backward, all layers or those from `start` down to `end`.

        Keyword arguments set outputs' gradients: `backward(prob=d)`; a loss has its weight there
        already. Gives the gradients of the inputs (or, with `end`, of that layer's bottoms) and of
        the blobs named in `diffs`."""
        if self._backward_steps is None:
            self._backward_steps = self._plan_backward()
        first = self._find_layer(start) if start else len(self._nodes) - 1
        last = self._find_layer(end) if end else 0
        self._in_order(last, first, start, end)
        for name, values in top_diffs.items():
            self._set_diff(name, values, first)
        opening = self._flow.opening(first) if start else []
        for step in chain(opening, *reversed(self._backward_steps[last : first + 1])):
            step()
        names = [*([] if end else self.inputs), *(diffs or [])]
        bottoms = {v.name: self._flow.diff(v) for v in self._nodes[last].bottoms} if end else {}
        return bottoms | {name: self._blob(name).diff for name in names}

    def forward_backward(self) -> float:
        """Forward, then backward; the loss."""
        loss = self.forward_loss()
        self.backward_all()
        return loss

    def _plan_backward(self) -> list[list[Step]]:
        if self._stale:
            self._infer()
        self._flow = GradientFlow(self._plan, self._placement, self._data, self.blobs)
        steps = self._flow.steps()
        self._flat_backward = [step for part in reversed(steps) for step in part]
        return steps

    def clear_param_diffs(self) -> None:
        """Zero the gradients of all parameters, which otherwise add up from pass to pass."""
        self.arena.clear_diff()

    def _fill(self, name: str, values: Any) -> None:
        if name not in self.inputs:
            raise NetError(
                Problem(
                    f'"{name}" is not an input of the net',
                    expected="one of " + ", ".join(self.inputs) if self.inputs else "no input",
                    hint=did_you_mean(name, self.inputs),
                )
            )
        blob, array = self.blobs[name], np.asarray(values)
        if array.shape != blob.shape:
            extents = ", ".join(map(str, array.shape))
            raise NetError(
                Problem(
                    f'input "{name}" is {show(blob.shape)}, but was given {show(array.shape)}',
                    hint=f'net.blobs["{name}"].reshape({extents}) makes room for it',
                )
            )
        blob.data[...] = array

    def _set_diff(self, name: str, values: Any, first: int) -> None:
        """A gradient from outside, before a pass that begins at the layer `first`."""
        self._blob(name)
        version, array = self._placement.at(name, first), np.asarray(values)
        if not self._plan.backward[version.maker.index]:
            raise NetError(
                Problem(
                    f'no gradient goes back from "{name}": no loss depends on it, or nothing '
                    "before it learns",
                    hint="force_backward: true in the net computes all gradients",
                )
            )
        for node, i in version.readers:
            if node.index <= first and self._plan.wanted[node.index][i]:
                raise NetError(
                    Problem(
                        f'the gradient of "{name}" is computed by layer "{node.spec.name}", which '
                        "reads it",
                        expected="an output, or a `start` below that layer",
                    )
                )
        diff = self._flow.diff(version)
        if array.shape not in (diff.shape, ()):
            raise NetError(
                Problem(f'"{name}" is {show(diff.shape)}, but its gradient {show(array.shape)}')
            )
        diff[...] = array

    def _in_order(self, first: int, last: int, start: str | None, end: str | None) -> None:
        if first > last:
            raise NetError(Problem(f'no layers lie between start="{start}" and end="{end}"'))

    def _blob(self, name: str) -> Blob:
        if name not in self.blobs:
            raise NetError(Problem(f'no blob "{name}"', hint=did_you_mean(name, self.blobs)))
        return self.blobs[name]

    def _find_layer(self, name: str) -> int:
        names = self._layer_names
        if name not in names:
            raise NetError(Problem(f'no layer "{name}"', hint=did_you_mean(name, names)))
        return names.index(name)

    # Parameters from and to files and other nets.

    def copy_from(self, path: str, skip_mismatch: bool = False) -> weights.Report:
        """Take parameters from a .caffemodel or .h5 by layer name."""
        report = weights.copy_weights(
            weights.read_weights(path), self.params, path=path, skip_mismatch=skip_mismatch
        )
        return report

    def share_with(self, other: Net) -> None:
        """Copy the parameters of the layers that `other` has too."""
        for name, blobs in self.params.items():
            for mine, theirs in zip(blobs, other.params.get(name, [])):
                mine.data[...] = theirs.data

    def save(self, path: str, diffs: bool = False) -> None:
        """Write the parameters (and their gradients): .caffemodel, or HDF5 if it ends in .h5."""
        params = self.params
        weights.write_weights(
            path,
            self.present(),
            {name: [b.data for b in blobs] for name, blobs in params.items()},
            {name: [b.diff for b in blobs] for name, blobs in params.items()} if diffs else None,
        )

    def present(self) -> NetParameter:
        """The NetParameter of what is here: the layers of this phase."""
        return self._plan.graph.net_parameter(self.param.force_backward)

    def __repr__(self) -> str:
        return f"<Net {self.name!r} {self.phase.name}, {len(self.layers)} layers>"
