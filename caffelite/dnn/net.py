"""Net under OpenCV's names."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

import caffelite
from caffelite.blob import Array, Shape
from caffelite.dnn import custom, settings
from caffelite.dnn.figures import Figures, as_arrays
from caffelite.dnn.images import Scalar
from caffelite.dnn.inputs import Inputs
from caffelite.dnn.layer import Layer
from caffelite.dnn.planning import how_many, with_shapes
from caffelite.dnn.running import Models, matrix
from caffelite.errors import NetError, Problem, did_you_mean
from caffelite.layers.base import show
from caffelite.layers.detection_output import DetectionOutput
from caffelite.plan.graph import Node, Version
from caffelite.run.program import Forward
from caffelite.schema.common import Phase
from caffelite.schema.net import NetParameter


class Net:
    """A net for inference. `readNetFromCaffe` makes one; `Net()` is empty.

    Layers have numbers, from 1 in the order of the file; Input layers have none (0 is the input of
    the net). A blob is asked for by the name of the layer that makes it, in-place layers included:
    each has its own values. Blobs' own names are accepted where no layer has the name."""

    def __init__(self) -> None:
        self._inner: caffelite.Net | None = None
        self._nodes: list[Node] = []
        self._ids: dict[str, int] = {}
        self._without: set[str] = set()
        self._inputs = Inputs()
        self._models = Models()
        self._planned: dict[tuple[tuple[str, Shape], ...], caffelite.Net] = {}
        self._ticks = 0
        self._changes = custom.changes()

    @classmethod
    def _of(cls, param: NetParameter, stored: Mapping[str, Any] | None) -> Net:
        """A net with parameters that have been read; None: without, for a look at its layers."""
        net = cls()
        # it holds the parameters, and never runs: what runs is planned for the inputs' shapes
        with custom.in_use(stored):
            inner = caffelite.Net(param, phase=Phase.TEST, engine="numpy", weights=stored)
        if not inner.inputs:
            raise NetError(
                Problem(
                    f'the net "{inner.name}" has no input',
                    expected="the net's deploy form, with an Input layer or `input:`",
                )
            )
        net._inner = inner
        net._nodes = [node for node in inner.plan.graph.nodes if not node.cls.fed]
        seen: Counter[str] = Counter()
        for number, node in enumerate(net._nodes, 1):
            name, again = node.spec.name, seen[node.spec.name]
            seen[name] += 1
            net._ids[f"{name}_{again}" if again else name] = number
        net._without = set(inner.params if inner.taken is None else inner.taken.missing)
        return net

    @property
    def _detects(self) -> bool:
        """Does its last layer give boxes?"""
        return issubclass(self._last().cls, DetectionOutput)

    @property
    def _net(self) -> caffelite.Net:
        if self._inner is None:
            raise NetError(Problem("the net is empty", hint="dnn.readNetFromCaffe reads one"))
        return self._inner

    # Layers.

    def empty(self) -> bool:
        """Has it no layers?"""
        return not self._nodes

    def getLayerNames(self) -> tuple[str, ...]:
        """The names of all layers but Input layers; a name that comes again gets _1, _2 ..."""
        return tuple(self._ids)

    def getLayerId(self, layer: str) -> int:
        """The number of a layer, -1 if there is none of the name."""
        return 0 if layer == "_input" else self._ids.get(layer, -1)

    def getLayer(self, layerId: int | str) -> Layer:
        """A layer by number or name; 0 is the net's input."""
        if layerId in (0, "_input"):
            return Layer(self, "_input", "", self._net.inputs)
        name = self._layer_name(layerId)
        node = self._nodes[self._ids[name] - 1]
        return Layer(self, name, node.spec.type, [v.name for v in node.tops])

    def getLayerTypes(self) -> tuple[str, ...]:
        """The types of layers that there are."""
        return tuple(sorted({node.spec.type for node in self._nodes}))

    def getLayersCount(self, layerType: str) -> int:
        """How many layers are of a type."""
        return sum(node.spec.type == layerType for node in self._nodes)

    def getUnconnectedOutLayers(self) -> Array:
        """The numbers of the layers whose tops nobody reads."""
        numbers = [
            number
            for number, node in enumerate(self._nodes, 1)
            if node.tops and not any(v.readers for v in node.tops)
        ]
        return np.array(numbers, np.int32)

    def getUnconnectedOutLayersNames(self) -> tuple[str, ...]:
        """Their names."""
        names = self.getLayerNames()
        return tuple(names[number - 1] for number in self.getUnconnectedOutLayers())

    def getParam(self, layer: int | str, numParam: int = 0) -> Array:
        """A copy of a layer's parameter."""
        blobs = self.getLayer(layer).blobs
        if not 0 <= numParam < len(blobs):
            raise NetError(f'layer "{layer}" has {len(blobs)} parameters, no number {numParam}')
        return blobs[numParam]

    def setParam(self, layer: int | str, numParam: int, blob: Any) -> None:
        """Set a layer's parameter; as many values as it has."""
        name, values = self._layer_name(layer), np.asarray(blob)
        params = self._params(name)
        if not 0 <= numParam < len(params):
            raise NetError(f'layer "{name}" has {len(params)} parameters, no number {numParam}')
        target = params[numParam].data
        if values.size != target.size:
            raise NetError(
                f'parameter {numParam} of layer "{name}" is {show(target.shape)}, but was given '
                f"{show(values.shape)}"
            )
        target[...] = values.reshape(target.shape)
        self._models.clear()
        self._without.discard(self._nodes[self._ids[name] - 1].spec.name)

    def _params(self, name: str) -> Sequence[Any]:
        if name == "_input":
            return ()
        return self._net.layers[self._nodes[self._ids[name] - 1].index].params

    def _layer_name(self, layer: int | str) -> str:
        names = self.getLayerNames()
        if isinstance(layer, str):
            if layer not in self._ids:
                raise NetError(Problem(f'no layer "{layer}"', hint=did_you_mean(layer, names)))
            return layer
        if not 1 <= int(layer) <= len(names):
            raise NetError(f"no layer number {layer}: there are 1 to {len(names)}")
        return names[int(layer) - 1]

    # Settings.

    def setPreferableBackend(self, backendId: int) -> None:
        """Accepted. Nets run on caffelite's engines, which is said once where it matters."""
        settings.say_backend(backendId)

    def setPreferableTarget(self, targetId: int) -> None:
        """Accepted. Nets run on the CPU, which is said once where it matters."""
        settings.say_target(targetId)

    def enableFusion(self, fusion: bool) -> None:
        """Accepted: what is fused here changes no layer's values."""

    def enableWinograd(self, useWinograd: bool) -> None:
        """Accepted: convolutions here have one way."""

    # Passes.

    def setInput(
        self, blob: Any, name: str = "", scalefactor: float = 1.0, mean: Scalar = 0.0
    ) -> None:
        """Give an input, the first one without a `name`: (blob - mean)·scalefactor, `mean` one
        number or one for each channel. The net takes the blob's shape at the next pass."""
        if self._inputs.again(blob, name, scalefactor, mean):
            return
        if self._inputs.put(blob, name, scalefactor, mean, self._net.inputs):
            self._models.forget()

    def forward(self, outputName: str | Iterable[str] = "", outBlobNames: Any = None) -> Any:
        """Run the net. Without a name: what the last layer makes. With one: what that layer
        makes. With several: a tuple of what each makes. All are copies.

        Raises NetError where inputs or parameters are missing, or do not fit."""
        names = outputName if outBlobNames is None else outBlobNames
        again = self._models.again
        if again is not None:
            start = time.perf_counter_ns()
            made = again(names)
            if made is not None:
                self._ticks = time.perf_counter_ns() - start or 1
                return made
        self._prepare()
        if isinstance(names, str):
            return self._run([self._find(names) if names else self._last().tops[0]], names)[0]
        wanted = [self._find(name) for name in names]
        return self._run(wanted or self._last().tops, names)

    def forwardAndRetrieve(self, outBlobNames: Iterable[str]) -> tuple[tuple[Array, ...], ...]:
        """As `forward` with several names, but for each layer a tuple of all that it makes."""
        self._prepare()
        groups = [self._find(name).maker.tops for name in outBlobNames]
        flat = iter(self._run([v for group in groups for v in group]))
        return tuple(tuple(next(flat) for _ in group) for group in groups)

    def getPerfProfile(self) -> tuple[int, Array]:
        """The time of the last pass in nanoseconds, and that of each layer (float64, in the order
        of `getLayerNames`), measured in a pass of its own. 0: done with another layer."""
        if not self._ticks:
            raise NetError("nothing has run yet: setInput and forward come first")
        self._fit()
        self._fill()
        executor = self._net.executor
        numbers = {node.index: number for number, node in enumerate(self._nodes)}
        times = np.zeros(len(numbers))
        for step, run in executor.steps("forward"):
            start = time.perf_counter_ns()
            run()
            if isinstance(step, Forward) and step.node.index in numbers:
                times[numbers[step.node.index]] += time.perf_counter_ns() - start
        return self._ticks, times

    def getLayersShapes(self, netInputShapes: Any) -> tuple[Array, Any, Any]:
        """For inputs of these shapes (one, or one for each input): the numbers of all layers, and
        for each the shapes that it reads, and those that it makes. 0 is the net's input."""
        figures = Figures(self._net, self._nodes, netInputShapes)
        numbers = range(len(figures))
        reads = tuple(as_arrays(figures.bottoms(n)) for n in numbers)
        makes = tuple(as_arrays(figures.tops(n)) for n in numbers)
        return np.array(numbers, np.int32), reads, makes

    def getFLOPS(self, *args: Any) -> int:
        """`getFLOPS(shapes)`, `getFLOPS(layer, shapes)`: floating-point operations of the net, or
        of a layer by its number, as OpenCV counts them. See `getLayersShapes` for the shapes."""
        figures, numbers = self._figures(args)
        return sum(figures.operations(n) for n in numbers)

    def getMemoryConsumption(self, *args: Any) -> tuple[int, int]:
        """`getMemoryConsumption(shapes)`, `getMemoryConsumption(layer, shapes)`: bytes of the
        parameters, and of what all layers make, were each kept."""
        figures, numbers = self._figures(args)
        weights, blobs = zip(*(figures.memory(n) for n in numbers))
        return sum(weights), sum(blobs)

    def _figures(self, args: Sequence[Any]) -> tuple[Figures, Sequence[int]]:
        figures = Figures(self._net, self._nodes, args[-1])
        return figures, [int(args[0])] if len(args) > 1 else range(len(figures))

    def dump(self) -> str:
        """A table of the layers: shapes, parameters, multiply-adds."""
        if self._ticks:
            self._fit()
        return str(self._net.summary())

    def __repr__(self) -> str:
        return f"<dnn.Net {self._inner.name!r}>" if self._inner else "<dnn.Net, empty>"

    def _last(self) -> Node:
        """The last layer that makes something."""
        return [node for node in self._nodes if node.tops][-1]

    def _find(self, name: str) -> Version:
        if name in self._ids:
            tops = self._nodes[self._ids[name] - 1].tops
            if not tops:
                raise NetError(f'layer "{name}" makes nothing: it has no top')
            return tops[0]
        blobs = self._net.plan.graph.blobs
        if name in blobs:
            return blobs[name]
        known = [*self._ids, *blobs]
        raise NetError(Problem(f'no layer "{name}"', hint=did_you_mean(name, known)))

    def _run(self, wanted: Sequence[Version], names: Any = None) -> tuple[Array, ...]:
        """What each of these is after a pass. `names` are what they were asked for by."""
        start = time.perf_counter_ns()
        places = tuple((v.maker.index, v.maker.tops.index(v)) for v in wanted)
        found = self._models.run(self._net, self._inputs.given, places, self._look_at_shapes)
        if found is not None:
            self._models.remember(names, self._inputs.given, places)
        else:
            nodes = self._fit().plan.graph.nodes
            found = self._run_planned([nodes[index].tops[top] for index, top in places])
        self._ticks = max(1, time.perf_counter_ns() - start)
        return tuple(map(matrix, found))

    def _run_planned(self, wanted: Sequence[Version]) -> list[Array]:
        """The same by the passes of the net that is planned for the inputs."""
        executor = self._net.executor
        final = all(not v.readers for v in wanted)
        nodes = self._net.plan.graph.nodes
        # before inputs change, as what has not been kept may be computed again; where parameters
        # have changed it cannot, which does not matter, as this pass computes it
        with suppress(NetError):
            executor.keep(wanted if final else [v for node in nodes for v in node.tops])
        self._fill()
        found: dict[Version, Array] = {}
        if final:
            executor.forward()
            found = {v: executor.look_at(v).copy() for v in wanted}
        else:
            first = 0
            for last in sorted({v.maker.index for v in wanted}):
                # a later layer may overwrite it, so the pass stops there
                executor.forward(first, last)
                first = last + 1
                here = [v for v in wanted if v.maker.index == last]
                found |= {v: executor.look_at(v).copy() for v in here}
        return [found[v] for v in wanted]

    def _prepare(self) -> None:
        """Before a pass: is everything there, and are the layers those that they should be?"""
        if self._changes != custom.changes():
            self._take_custom()
        missing = [name for name in self._net.inputs if name not in self._inputs.given]
        if missing:
            raise NetError(
                Problem(
                    "no input was given for " + ", ".join(f'"{name}"' for name in missing),
                    hint=f'net.setInput(blob, "{missing[0]}") gives it',
                )
            )
        if self._without:
            names = sorted(self._without)
            shown = ", ".join(f'"{name}"' for name in names[:6])
            more = f" and {len(names) - 6} more" if len(names) > 6 else ""
            raise NetError(
                Problem(
                    f"there are no parameters for {shown}{more}",
                    expected="a .caffemodel that has them, or setParam for each",
                )
            )

    def _take_custom(self) -> None:
        """Plan the net anew, with the layers that have been registered since."""
        self._changes = custom.changes()
        if custom.registered().isdisjoint(node.spec.type for node in self._nodes):
            return
        old = self._net
        held = {name: [blob.data for blob in blobs] for name, blobs in old.params.items()}
        with custom.in_use(held):
            self._inner = caffelite.Net(
                old.param, phase=Phase.TEST, folder=old.folder, share=old, engine="numpy"
            )
        self._nodes = [self._inner.plan.graph.nodes[node.index] for node in self._nodes]
        self._models, self._planned = Models(), {}

    def _fit(self) -> caffelite.Net:
        """Take the net that is planned for the inputs' shapes; a few are kept, for image pyramids
        and windows of several sizes."""
        shapes = {name: values.shape for name, values in self._inputs.given.items()}
        key = tuple(shapes.items())
        inner = self._planned.pop(key, None)
        if inner is None:
            inner = with_shapes(self._net, shapes)
            while len(self._planned) >= how_many(inner):
                del self._planned[next(iter(self._planned))]
        self._planned[key] = inner  # the last one, which is given up last
        if inner is not self._inner:
            self._inner = inner
            self._nodes = [inner.plan.graph.nodes[node.index] for node in self._nodes]
        return inner

    def _look_at_shapes(self) -> caffelite.Net:
        """A net of these shapes that need not run: the one that is here, if it has them."""
        plan = self._net.plan
        blobs, shapes = plan.graph.blobs, {n: a.shape for n, a in self._inputs.given.items()}
        if all(plan.shapes[blobs[name].first] == shape for name, shape in shapes.items()):
            return self._net
        return with_shapes(self._net, shapes, "numpy")

    def _fill(self) -> None:
        """Inputs are filled before each pass: in-place layers may have overwritten them."""
        for name, values in self._inputs.given.items():
            self._net.blobs[name].data[...] = values
