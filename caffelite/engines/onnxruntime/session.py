"""RuntimeSession: a net's forward passes as ONNX models, on the net's own arrays.

ONNX Runtime reads the inputs where they lie and writes the outputs where `net.blobs` shows them:
nothing is copied. Only the blobs that are needed come out of the model (the net's outputs, and
those that somebody has asked for), so that it may fuse all others away. Asking for another one
after a pass computes it anew, and from then on all are kept.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.engines.onnxruntime.part import Part, Wiring, wire
from caffelite.engines.onnxruntime.watch import Watch
from caffelite.errors import CaffeliteError, NetError, Problem
from caffelite.kernels import parallel
from caffelite.plan.graph import Node, Version
from caffelite.run.keeping import restore
from caffelite.run.program import DATA, Backward, Forward, Program, Value, data_of
from caffelite.run.session import Bound, Session, Setting

log = logging.getLogger("caffelite")
Indices = tuple[int, ...]
"""The layers of a part, by index."""


class RuntimeSession(Session):
    """Binds runs of Forward steps to models; what ONNX cannot say runs on NumPy, with a warning."""

    engine = "onnxruntime"
    whole = True

    def __init__(self, setting: Setting, previous: Session | None = None) -> None:
        for owner in list(setting.memory.slot):
            setting.memory.take_out(owner)  # what is not kept has no memory at all
        super().__init__(setting, previous)
        self.placement = setting.memory.placement
        graph = self.plan.graph
        self._all: Indices = tuple(n.index for n in graph.nodes if not n.cls.fed)
        behind: set[int] = set()
        for n in graph.nodes:
            if n.cls.dynamic or any(v.maker.index in behind for v in n.bottoms):
                behind.add(n.index)
        self._free = {v for n in graph.nodes if n.index in behind for v in n.tops}
        """What has shapes that depend on values."""
        self._rows = {self._owner(v) for n in graph.nodes if n.cls.dynamic for v in n.tops}
        self._sharing: dict[Version, list[Version]] = {}
        for n in graph.nodes:
            for v in n.tops:
                self._sharing.setdefault(self._owner(v), []).append(v)
        self._found: dict[Version, Shape] = {}
        self._outputs = {self._owner(graph.blobs[name]) for name in graph.outputs}
        self._again: tuple[Indices, int, Callable[[], None]] | None = None
        """The layers, the threads and the call of a whole pass that may be run again as it is."""
        self._lost: set[Version] = set()
        """Owners whose values the last pass did not bring out of the model."""
        old = previous if isinstance(previous, RuntimeSession) else None
        self._parts: dict[Indices, Part] = old._parts if old else {}
        self._built: dict[Indices, tuple[int, int]] = old._built if old else {}
        self._bound_here: set[Indices] = set()
        self._on_numpy: set[Indices] = old._on_numpy if old else set()
        self._asked: set[Version] = old._asked if old else set()
        self._everything: bool = old._everything if old else self._must_keep()
        self._watch: Watch = old._watch if old else Watch(setting.arena, self.layers)
        self._counts = self._watch.pause() if old else True

    def ready(self) -> None:
        if self._counts:
            self._watch.ready()

    def _must_keep(self) -> bool:
        """Would a second run of the model give other values? (A memory went on, or an output lies
        where an input was.)"""
        repeatable = all(x.repeatable for x in self.layers if not x.fed)
        fed = {v for n in self.plan.graph.nodes if n.cls.fed for v in n.tops}
        over = any(o is not v and o in fed for v, o in self.placement.owner.items())
        return over or not repeatable

    def _owner(self, version: Version) -> Version:
        return self.placement.owner[version]

    # What blobs show.

    def look(self, value: Value) -> Array:
        if value.of == DATA:
            owner = self.placement.owner[value.version]
            if owner in self._lost or owner not in self._asked:
                self._ask(owner)
        return self.memory.array(value)

    def keep(self, versions: Iterable[Version]) -> None:
        for version in versions:
            self._ask(self._owner(version))

    def _ask(self, owner: Version) -> None:
        self._again = None
        if owner in self._lost:
            self._recover()
        self._asked.add(owner)

    def _recover(self) -> None:
        """Run all layers again, and keep every blob from now on."""
        shown = [self.memory.array(Value(owner)) for owner in self._outputs - self._free]
        before = [array.copy() for array in shown]
        self._lost, self._everything = set(), True
        self._run([n for n in self.plan.graph.nodes if not n.cls.fed], self._all)
        restore(shown, before)

    def shapes(self) -> Mapping[Version, Shape]:
        return self._found

    # Programs.

    def bind(self, program: Program, fresh: bool = False) -> list[Bound]:
        if any(isinstance(step, Backward) for step in program):
            raise NetError(
                Problem(
                    "the engine onnxruntime runs forward passes only: a deploy net's ONNX model "
                    "has no gradients",
                    hint='engine="torch" or engine="numpy" runs backward',
                )
            )
        bound: list[Bound] = []
        for forward, group in itertools.groupby(program, lambda s: isinstance(s, Forward)):
            steps = list(group)
            if not forward:
                bound += [self.bind_step(step) for step in steps]
                continue
            nodes = [s.node for s in steps if isinstance(s, Forward)]
            makes = any(n.tops for n in nodes)
            key = tuple(n.index for n in nodes)
            bound.append(partial(self._run, nodes, key) if makes else _nothing)
        return bound

    def _run(self, nodes: Sequence[Node], key: Indices) -> None:
        """Run some layers: all, or a part, whose blobs are then all kept. A pass that finds all as
        the last one left it checks little: in a small net each microsecond counts."""
        again = self._again
        if (
            again is not None
            and again[0] is key
            and again[1] == parallel.threads()
            and self._watch.quiet
        ):
            again[2]()
            return
        self._again = None
        if len(key) < len(self._all):
            if self._lost:
                self._recover()
            self._everything = True
        if key in self._on_numpy:
            self._run_on_numpy(nodes)
            return
        self._watch.update()
        now = self._watch.stamp, parallel.threads()
        part = self._parts.get(key)
        if (
            part is None
            or self._built[key] != now
            or key not in self._bound_here
            or self._changed(part)
        ):
            try:
                part = self._build(nodes, key, now)
            except CaffeliteError as error:
                self._refuse(nodes, key, error)
                return
        found = part.run()
        for owner, array in found.items():
            self._give(owner, array)
        if found:
            self._bound_here = {key}  # other parts may read the arrays that were there before
            shapes = {owner: array.shape for owner, array in found.items()}
            for owner, shape in part.lost_shapes(shapes, self.plan.shapes).items():
                self._note(owner, shape)
        if len(key) == len(self._all):
            self._lost = part.lost
            if part.call is not None:
                self._again = key, now[1], part.call

    def _give(self, owner: Version, array: Array) -> None:
        """What was made of a shape that depends on values."""
        self._note(owner, array.shape)
        self.memory.replace(Value(owner), array)

    def _note(self, owner: Version, shape: Shape) -> None:
        for version in self._sharing[owner]:
            self._found[version] = shape

    def _changed(self, part: Part) -> bool:
        """Has somebody asked for more than comes out of it?"""
        return bool(part.lost and (self._everything or self._asked & part.lost))

    def _wanted(self, wiring: Wiring) -> set[Version]:
        if self._everything:
            return set(wiring.writes)
        return (self._asked | self._outputs | self._rows) & wiring.writes.keys()

    def _build(self, nodes: Sequence[Node], key: Indices, now: tuple[int, int]) -> Part:
        """The model of these layers, a new one where the one before does not do."""
        part = self._parts.get(key)
        wiring = wire(nodes, self.placement.owner)
        wanted = self._wanted(wiring)
        shapes = self.plan.shapes
        stands = part is not None and self._built[key] == now and part.fits(shapes)
        if part is None or not stands or not part.wanted >= wanted:
            self._parts.pop(key, None)  # its memory first
            layers = [self.layers[index] for index in key]
            name = self.plan.graph.name
            with self._watch.reading():
                part = Part(name, nodes, layers, shapes, wiring, wanted, now[1])
            self._parts[key], self._built[key] = part, now
        arrays = {v: self.memory.array(Value(v)) for v in (*wiring.reads, *part.wanted)}
        part.bind(arrays, self._free)
        self._bound_here.add(key)
        return part

    def _refuse(self, nodes: Sequence[Node], key: Indices, error: CaffeliteError) -> None:
        """What ONNX cannot say runs on NumPy, now and from now on."""
        more = len(error.problems) - 1
        also = f" (and {more} more)" if more else ""
        log.warning("engine onnxruntime: %s%s; numpy runs", error.problems[0].message, also)
        self._on_numpy.add(key)
        self._run_on_numpy(nodes)

    def _run_on_numpy(self, nodes: Sequence[Node]) -> None:
        for node in nodes:
            if any(v in self._free for v in node.tops):
                self._reshape_on_numpy(node)
            self.bind_step(Forward(node, data_of(node.bottoms), data_of(node.tops)))()

    def _reshape_on_numpy(self, node: Node) -> None:
        """Make room for what a layer makes of bottoms whose shapes depend on values."""
        layer = self.layers[node.index]
        bottoms = [self.memory.array(v) for v in data_of(node.bottoms)]
        shapes = [b.shape for b in bottoms]
        if shapes != [tuple(s) for s in layer.bottom_shapes]:
            layer.bottom_shapes = shapes
            layer.top_shapes = [tuple(s) for s in layer.reshape(shapes)]
            layer.prepare()
        tops = layer.reshape_to(bottoms) if layer.dynamic else layer.top_shapes
        for version, shape in zip(node.tops, tops):
            owner = self._owner(version)
            if self.memory.array(Value(owner)).shape != tuple(shape):
                self._give(owner, np.zeros(shape, np.float32))
            else:
                self._note(owner, tuple(shape))

    def runs_on(self, index: int) -> str:
        return "numpy" if any(index in key for key in self._on_numpy) else self.engine


def _nothing() -> None:
    return None
