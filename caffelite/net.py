"""Net: a net file made runnable, with pycaffe's names."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from caffelite import weights as parameters
from caffelite.blob import Array, Blob
from caffelite.engines import Choice, choose
from caffelite.errors import NetError, Problem, did_you_mean
from caffelite.files import load_net, modern_net
from caffelite.layers.base import Context, Layer, TakesArrays, show
from caffelite.plan.build import Plan, plan_net
from caffelite.plan.graph import Version, state_for
from caffelite.plan.params import Param
from caffelite.protobufs import is_protobuf, net_from_protobuf
from caffelite.report.summary import Summary, summarise
from caffelite.run.arena import Arena, ParamBlob
from caffelite.run.blobs import blobs_of
from caffelite.run.executor import Executor
from caffelite.run.names import Named
from caffelite.run.program import DIFF
from caffelite.schema.common import Phase
from caffelite.schema.net import NetParameter
from caffelite.streams import Streams


class Net:
    """A net of one phase: `Net("f.net", caffelite.TEST)`, or with weights
    `Net("f.net", "w.caffemodel", caffelite.TEST)`.

    `source` is a path or a NetParameter, caffelite's or protobuf's. `blobs[name]` is the last
    version of a blob, `params[layer]` the layer's parameters. `weights` is a path, or parameters by
    layer name (`weights.open_weights`); without, those that the message holds count. What is in
    none of them is filled; `strict=False` accepts weights that fit no layer. The seed sets all
    chance; without one it comes from the system. `engine` and `device` say what computes
    (`caffelite.engines`). `plan` is a plan that has been made of this very message, and is not made
    again. Errors: NetError, with every mistake of the file.
    """

    def __init__(
        self,
        source: str | os.PathLike[str] | NetParameter,
        *args: Any,
        phase: Phase | int | None = None,
        weights: str | os.PathLike[str] | Mapping[str, Any] | None = None,
        strict: bool = True,
        level: int = 0,
        stages: Iterable[str] | None = None,
        dtype: Any = np.float32,
        seed: int | None = None,
        streams: Streams | None = None,
        prefix: str = "",
        folder: str | None = None,
        share: Net | None = None,
        engine: str | None = None,
        device: str | None = None,
        plan: Plan | None = None,
    ) -> None:
        for arg in args:
            if isinstance(arg, int):
                phase = Phase(arg)
            elif arg is not None:
                weights = os.fspath(arg)
        if phase is None:
            raise TypeError("Net needs a phase: caffelite.TRAIN or caffelite.TEST")
        if isinstance(source, NetParameter):
            # a message that was read as text is up to date; one that was built may be old
            old = ("layers" in source.specs and source.has("layers")) or source.has("input")
            self.param, self.folder = modern_net(source, "net") if old else source, folder or ""
        elif is_protobuf(source):
            self.param, self.folder = net_from_protobuf(source), folder or ""
        else:
            self.param = load_net(source)
            self.folder = folder or os.path.dirname(os.fspath(source))
        self.name = self.param.name
        self.phase = Phase(phase)
        kind = np.dtype(dtype)
        if kind not in (np.float32, np.float64):
            raise TypeError(f"a net is of float32 or float64, not of {kind}")
        self.streams = streams or Streams(seed)
        self.state = state_for(self.param, self.phase, level, list(stages or []))
        if plan is None:
            context = Context(self.phase, kind, prefix, self.folder)
            plan = plan_net(self.param, self.state, context)
        self.arena = Arena(plan, kind, share.params if share else None)
        """All parameters, and all their gradients, each in one array."""
        self.taken: parameters.Report | None = self._take(weights, plan, strict)
        """What became of the parameters in `weights`, or in the message itself."""
        self.arena.fill(self.streams, self._taken_params(plan))
        self.engine: Choice = choose(plan, engine, device)
        """The engine that runs the net, and why it is this one."""
        self.executor = Executor(plan, self.arena, self.streams, self.engine.make_session)
        """What runs the net."""
        self.layers: list[Layer] = self.executor.layers
        self.blobs: Mapping[str, Blob] = blobs_of(self.executor)
        """The last version of each blob, in the order of their first appearance."""

    def _take(self, source: Any, plan: Plan, strict: bool) -> parameters.Report | None:
        """Copy parameters before any is filled."""
        nodes, blobs = plan.graph.nodes, self.arena.blobs
        params = {n.spec.name: blobs[n.index] for n in nodes if blobs[n.index]}
        if isinstance(source, (str, os.PathLike)):
            with parameters.open_weights(source) as stored:
                return parameters.copy_weights(stored, params, strict=strict)
        if source is not None:
            return parameters.copy_weights(source, params, strict=strict)
        held = parameters.weights_of(self.param, "the net's message")
        return parameters.copy_weights(held, params, strict=False) if held else None

    def _taken_params(self, plan: Plan) -> set[Param]:
        copied = set(self.taken.copied) if self.taken is not None else set()
        nodes = [node for node in plan.graph.nodes if node.spec.name in copied]
        return {use.param for node in nodes for use in plan.uses[node.index]}

    # What pycaffe calls things.

    @property
    def params(self) -> Mapping[str, Sequence[Blob]]:
        """Layer name to its parameters; layers without any are left out."""
        params = {x.name: tuple(x.params) for x in self.layers if x.params}
        return MappingProxyType(Named(params))

    @property
    def plan(self) -> Plan:
        """What the net is made of: a value, without arrays."""
        return self.executor.plan

    @property
    def dtype(self) -> np.dtype:
        """float32 or float64: the type of all arrays."""
        return self.executor.dtype

    @property
    def parameter_count(self) -> int:
        """How many numbers are learned."""
        return self.plan.count

    @property
    def inputs(self) -> list[str]:
        """The blobs that are filled from outside: the tops of Input layers."""
        return [v.name for n in self.plan.graph.nodes if n.cls.fed for v in n.tops]

    @property
    def outputs(self) -> list[str]:
        """The blobs that no layer reads."""
        return list(self.plan.graph.outputs)

    @property
    def _layer_names(self) -> list[str]:
        return [layer.name for layer in self.layers]

    @property
    def layer_dict(self) -> OrderedDict[str, Layer]:
        """Layer name to layer."""
        return OrderedDict((layer.name, layer) for layer in self.layers)

    @property
    def top_names(self) -> OrderedDict[str, list[str]]:
        return OrderedDict((n.spec.name, [v.name for v in n.tops]) for n in self.plan.graph.nodes)

    @property
    def bottom_names(self) -> OrderedDict[str, list[str]]:
        nodes = self.plan.graph.nodes
        return OrderedDict((n.spec.name, [v.name for v in n.bottoms]) for n in nodes)

    @property
    def blob_loss_weights(self) -> OrderedDict[str, float]:
        """Blob name to its weight in the objective; 0 for most."""
        weight = self.plan.loss_weights
        return OrderedDict((name, weight.get(v, 0.0)) for name, v in self.plan.graph.blobs.items())

    # Passes.

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
        executor = self.executor
        if not (blobs or inputs or start or end):  # most passes: each microsecond counts
            executor.forward()
            look = executor.look
            return {name: look(name) for name in self.plan.graph.outputs}
        asked = list(blobs or [])
        if asked:
            executor.keep([self._version(name) for name in asked])
        for name, values in inputs.items():
            self._fill(name, values)
        if not start and not end:
            executor.forward()
            return {name: executor.look(name) for name in (*self.outputs, *asked)}
        first = self._find_layer(start) if start else 0
        last = self._find_layer(end) if end else len(self.layers) - 1
        self._in_order(first, last, start, end)
        executor.forward(first, last)
        names = [*([] if end else self.outputs), *asked]
        tops = {v.name: executor.look_at(v) for v in self.plan.graph.nodes[last].tops if end}
        return tops | {name: self.blobs[name].data for name in names}

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
        executor, asked = self.executor, list(diffs or [])
        for name in asked:
            self._version(name)
        first = self._find_layer(start) if start else len(self.layers) - 1
        last = self._find_layer(end) if end else 0
        self._in_order(last, first, start, end)
        for name, values in top_diffs.items():
            self._set_diff(name, values, first)
        if not executor.ran:
            raise NetError(Problem("backward has no forward pass before it", hint="net.forward()"))
        executor.backward(first, last)
        names = [*([] if end else self.inputs), *asked]
        node = self.plan.graph.nodes[last]
        bottoms = {v.name: executor.look_at(v, DIFF) for v in node.bottoms if end}
        return bottoms | {name: self.blobs[name].diff for name in names}

    def forward_loss(self) -> float:
        """One forward pass; the weighted sum of the losses. The solver's inner loop."""
        return self.executor.forward_loss()

    def backward_all(self) -> None:
        """One backward pass over all layers."""
        self.executor.backward_all()

    def forward_backward(self) -> float:
        """Forward, then backward; the loss."""
        loss = self.forward_loss()
        self.backward_all()
        return loss

    def clear_param_diffs(self) -> None:
        """Zero the gradients of all parameters, which otherwise add up from pass to pass."""
        self.arena.clear_diff()

    def reshape(self) -> None:
        """Let all shapes follow the inputs', as the next forward pass would."""
        self.executor.reshape()

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
        self._version(name)
        version = self.executor.placement.at(name, first)
        if not self.plan.needs[version.maker.index].backward:
            raise NetError(
                Problem(
                    f'no gradient goes back from "{name}": no loss depends on it, or nothing '
                    "before it learns",
                    hint="force_backward: true in the net computes all gradients",
                )
            )
        for node, i in version.readers:
            if node.index <= first and self.plan.needs[node.index].bottoms[i]:
                raise NetError(
                    Problem(
                        f'the gradient of "{name}" is computed by layer "{node.spec.name}", which '
                        "reads it",
                        expected="an output, or a `start` below that layer",
                    )
                )
        diff, array = self.executor.look_at(version, DIFF), np.asarray(values)
        if array.shape not in (diff.shape, ()):
            raise NetError(
                Problem(f'"{name}" is {show(diff.shape)}, but its gradient {show(array.shape)}')
            )
        diff[...] = array

    def _in_order(self, first: int, last: int, start: str | None, end: str | None) -> None:
        if first > last:
            raise NetError(Problem(f'no layers lie between start="{start}" and end="{end}"'))

    def _version(self, name: str) -> Version:
        blobs = self.plan.graph.blobs
        if name not in blobs:
            raise NetError(Problem(f'no blob "{name}"', hint=did_you_mean(name, blobs)))
        return blobs[name]

    def _find_layer(self, name: str) -> int:
        names = self._layer_names
        if name not in names:
            raise NetError(Problem(f'no layer "{name}"', hint=did_you_mean(name, names)))
        return names.index(name)

    # Parameters from and to files and other nets.

    def set_input_arrays(self, data: Any, labels: Any) -> None:
        """Hand samples to the first MemoryData layer."""
        for layer in self.layers:
            if isinstance(layer, TakesArrays):
                layer.set_input_arrays(data, labels)
                return
        raise NetError(
            Problem("the net has no MemoryData layer", expected="one to take the arrays")
        )

    def copy_from(
        self, path: str, skip_mismatch: bool = False, verify: bool = True, strict: bool = True
    ) -> parameters.Report:
        """Take parameters from a .caffemodel or .h5 by layer name. `verify=False` takes them too if
        the file is not as caffelite wrote it; `strict=False` accepts a file that has no layer of
        the net."""
        with parameters.open_weights(path, verify) as stored:
            return parameters.copy_weights(
                stored, self.params, path=path, skip_mismatch=skip_mismatch, strict=strict
            )

    def share_with(self, other: Net) -> None:
        """Use the parameters of `other` for the layers that it has too: the values are the same
        arrays from now on, the gradients stay apart. Raises NetError if shapes differ; nothing is
        shared then."""
        pairs = [
            (name, mine, theirs)
            for name, blobs in self.params.items()
            for mine, theirs in zip(blobs, other.params.get(name, []))
        ]
        for name, mine, theirs in pairs:
            if mine.shape != theirs.shape:
                text = f'layer "{name}": {show(mine.shape)} here, {show(theirs.shape)} there'
                raise NetError(Problem(f"parameters of other shapes cannot be shared, {text}"))
        for _, mine, theirs in pairs:
            if isinstance(mine, ParamBlob) and isinstance(theirs, ParamBlob):
                mine.lie_in(theirs)
        self.executor.restart()

    def save(
        self, path: str, diffs: bool = False, hdf5: bool | None = None, half: bool = False
    ) -> None:
        """Write the parameters (and their gradients): .caffemodel, or HDF5 if it ends in .h5 or
        `hdf5` is true. `half`: a .caffemodel in half precision, half as large."""
        params = self.params
        parameters.write_weights(
            path,
            self.present(),
            {name: [b.data for b in blobs] for name, blobs in params.items()},
            {name: [b.diff for b in blobs] for name, blobs in params.items()} if diffs else None,
            hdf5,
            half,
        )

    def present(self) -> NetParameter:
        """The NetParameter of what is here: the layers of this phase."""
        return self.plan.graph.net_parameter(self.param.force_backward)

    def summary(self) -> Summary:
        """A table of the layers: shapes, parameters, multiply-adds, memory."""
        return summarise(self.plan, self.phase.name, self.dtype.itemsize)

    def _repr_html_(self) -> str:
        return self.summary()._repr_html_()

    def __repr__(self) -> str:
        return f"<Net {self.name!r} {self.phase.name}, {len(self.layers)} layers>"
