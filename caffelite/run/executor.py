"""Executor: runs the passes of a plan.

It compiles a pass once, from the plan over a program to a flat list of bound steps, and keeps it;
running it then costs little more than what the layers do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from threading import RLock
from typing import Union

import numpy as np

from caffelite.blob import Array, Shape
from caffelite.collecting import no_collection
from caffelite.errors import NetError
from caffelite.layers.base import Gradients, Layer
from caffelite.plan.build import Plan
from caffelite.plan.graph import Node, Version
from caffelite.plan.shapes import carry, infer_node
from caffelite.run.arena import Arena
from caffelite.run.found import take_shapes
from caffelite.run.fresh import Overwriting
from caffelite.run.gradients import keep_gradients
from caffelite.run.keeping import Keeping, restore
from caffelite.run.memory import Memory
from caffelite.run.passes import backward_program, forward_program, not_overwritten
from caffelite.run.placement import place
from caffelite.run.program import DATA, Forward, Program, Step, Value
from caffelite.run.session import Bound, Session, Setting, flat
from caffelite.run.turns import one_thread
from caffelite.streams import Streams

MakeSession = Callable[[Setting, Union[Session, None]], Session]
Part = tuple[str, int, int]
"""A pass: FORWARD or BACKWARD, and the layers at its start and at its end."""
FORWARD, BACKWARD = "forward", "backward"
Around = Callable[[Part, Program, Callable[[int], None]], None]
"""Runs the steps of a pass: given the pass, its program, and what runs a step by its number."""


class Executor:
    """A plan with memory: `forward` and `backward` run it, `look` shows what they computed.

    `arena` has the parameters, `layers` are the running copies of the plan's layers."""

    @no_collection()
    def __init__(
        self,
        plan: Plan,
        arena: Arena,
        streams: Streams,
        make_session: MakeSession = Session,
    ) -> None:
        self.plan, self.arena, self.dtype = plan, arena, arena.dtype
        self.turn = RLock()
        """Held by the thread that is in a pass."""
        self._make_session = make_session
        self._gradients = Gradients()
        self.overwriting = Overwriting(self._gradients)
        """Within it a backward pass writes gradients, as the first one after a clear does."""
        self.layers = [self._start(node, streams) for node in plan.graph.nodes]
        self._end = len(self.layers) - 1
        self._dynamic = any(layer.dynamic for layer in self.layers)
        self._given: dict[Version, Shape] = {}
        self._stale: set[int] = set()  # layers whose shapes may be about to change
        self._until = self._end  # the last layer of the pass that runs
        self._around: Around | None = None
        self.looked_into: str | None = None  # what is done with blobs behind each step, if anything
        self.ran = False  # a forward pass, since the arrays were made
        self.placement = place(plan)
        self._keeping = Keeping(plan, self.placement)
        self.memory = Memory(self.placement, self.dtype)
        self.session: Session
        """The net on its engine."""
        self.restart()

    def _start(self, node: Node, streams: Streams) -> Layer:
        layer = self.plan.layers[node.index]
        # the gradient of a parameter that several layers use is written by none, all add to it
        alone = not self.plan.shares(node)
        return layer.started(
            self.arena.blobs[node.index],
            self.plan.needs[node.index].learns,
            streams,
            self._gradients if alone else Gradients(),
        )

    # Shapes and memory.

    def _allocate(self, previous: Session | None) -> None:
        """Memory for the plan as it is now, and a session in place of the `previous` one."""
        slots = self._keeping.slots(forward_program(self.placement, 0, self._end))
        self.memory = Memory(self.placement, self.dtype, slots, self.memory)
        setting = Setting(self.plan, self.layers, self.memory, self.arena, self._gradients)
        self.session = self._make_session(setting, previous)
        self.forget()

    def forget(self) -> None:
        """Passes are compiled anew when they are next run."""
        self._bound: dict[tuple[Part, bool], list[Bound]] = {}
        self._steady: list[Bound] | None = None  # the whole pass, if it may just be run
        self._steady_back: list[Bound] | None = None  # the one that writes gradients anew

    def _prepare(self, part: Sequence[Node]) -> None:
        shapes = self.plan.shapes
        for node in part:
            layer = self.layers[node.index]
            layer.bottom_shapes = [shapes[v] for v in node.bottoms]
            layer.top_shapes = [shapes[v] for v in node.tops]
            layer.prepare()

    def reshape(self, start: int = 0, end: int | None = None) -> None:
        """Let the shapes of the layers `start` to `end` follow what was given from outside, as
        the next forward pass over them would. Those behind `end` follow when they are run."""
        part = self.plan.graph.nodes[start : self._end + 1 if end is None else end + 1]
        shapes = dict(self.plan.shapes)
        for node in part:
            infer_node(node, self.layers[node.index], shapes, self._given)
        self._stale.difference_update(node.index for node in part)
        if end is not None:
            self._stale.update(carry(self.plan.graph.blobs.values(), shapes, end))
        self._moved(shapes)
        self._prepare(part)
        self.session.ready()

    def _moved(self, shapes: Mapping[Version, Shape]) -> None:
        """Memory and a session for blobs of these shapes."""
        self.plan = self.plan.with_shapes(shapes)
        self.placement = place(self.plan)
        self._keeping = self._keeping.moved(self.plan, self.placement)
        self._allocate(self.session)

    def _follow(self, first: int, last: int) -> None:
        """Reshape what is due of the layers `first` to `last`, which are to be run."""
        due = [index for index in self._stale if first <= index <= last]
        if due:
            self.reshape(min(due), last)

    def give_shape(self, name: str, shape: Shape) -> None:
        """Reshape a blob. Its array is there at once; what depends on it follows at the next
        forward pass. A blob that is not filled from outside has the shape that its layer gives it
        as soon as this layer runs again."""
        array = np.zeros(shape, self.dtype)
        last = self.plan.graph.blobs[name]
        if last.first.maker.cls.fed:
            old = self.session.look(self.placement.shown(name))
            self._given[last.first] = shape
        else:
            self._keep_everything()
            old = self.session.look(self.placement.shown(name))
            self._set_shape(last, shape)
        if old.size == array.size:
            array[...] = old.reshape(shape)
        self.session.give(self.placement.shown(name), array)
        self._stale.update(range(last.first.maker.index, len(self.layers)))
        self.ran, self._steady = False, None

    def _set_shape(self, version: Version, shape: Shape) -> None:
        """Let a blob have this shape for the passes that begin behind the layer that makes it."""
        shapes = dict(self.plan.shapes)
        at: Version | None = version
        while at is not None:
            shapes[at] = shape
            at = at.previous
        self._moved(shapes)
        self.session.ready()

    def restart(self) -> None:
        """A session anew, for parameters that lie elsewhere from now on."""
        self._allocate(None)
        self._prepare(self.plan.graph.nodes)
        self.session.ready()

    def shape_of(self, name: str) -> Shape:
        """The shape of a blob, with what has been given from outside since the last pass."""
        version = self.plan.graph.blobs[name]
        return self._given.get(version.first, self.plan.shapes[version])

    # What blobs show.

    def look(self, name: str, of: str = DATA) -> Array:
        """What `net.blobs[name]` shows: a host array, which may be written into."""
        value = self.placement.shown(name, of)
        if of != DATA:
            keep_gradients(self)
        elif self.memory.slot:
            self.keep([value.version])
        return self.session.look(value)

    def look_at(self, version: Version, of: str = DATA) -> Array:
        """The data or the gradient of one version of a blob."""
        if of == DATA:
            self.keep([version])
        else:
            keep_gradients(self)
        return self.session.look(Value(version, of))

    def keep(self, versions: Iterable[Version]) -> None:
        """Let these versions keep their values. What the last pass did not keep is computed anew.
        Raises NetError where that cannot be done any more."""
        versions = list(versions)
        self.session.keep(versions)
        lost = [v for v in versions if self.placement.owner[v] in self.memory.slot]
        if not lost:
            return
        if self.ran:
            self._keep_everything()
            return
        self._keeping.asked.update(lost)
        for version in lost:
            self.memory.take_out(self.placement.owner[version])
        self.forget()

    def _keep_everything(self) -> None:
        """From now on every blob has memory of its own; what was not kept is computed anew."""
        if self._keeping.everything:
            return
        self._keeping.everything = True
        lost, graph = self.memory.slot, self.plan.graph
        if not lost:
            return
        if not self.ran:
            self._allocate(self.session)
            return
        again = self._keeping.again(forward_program(self.placement, 0, self._end), lost)
        shown = [self.placement.shown(name) for name in graph.outputs]
        before = [self.session.look(value).copy() for value in shown]
        self._allocate(self.session)
        for step in self.session.bind(again):
            step()
        try:
            restore([self.session.look(value) for value in shown], before)
        except NetError:
            self.ran = False
            raise

    # Passes.

    def program(self, part: Part) -> Program:
        """What a pass does, step by step."""
        if part[0] == FORWARD:
            return forward_program(self.placement, *part[1:])
        return backward_program(self.plan, *part[1:])

    def steps(self, direction: str) -> Sequence[tuple[Step, Bound]]:
        """The steps of a whole pass beside what runs them, for those who measure them (a backward
        pass that writes gradients anew: all within `overwriting`)."""
        part = (FORWARD, 0, self._end) if direction == FORWARD else (BACKWARD, self._end, 0)
        self._ready(part)
        program, fresh = self.program(part), self._gradients.fresh
        if self.session.whole:  # each step by itself, so that there is something to measure
            return [(step, self.session.bind((step,), fresh)[0]) for step in program]
        return list(zip(program, self._bind(part, program, fresh)))

    def _ready(self, part: Part) -> None:
        self._follow(min(part[1:]), max(part[1:]))
        if part != (FORWARD, 0, self._end):
            self._keep_everything()
        if part[0] == BACKWARD and part != (BACKWARD, self._end, 0):
            keep_gradients(self)

    @no_collection()
    def _compile(self, part: Part, fresh: bool = False) -> list[Bound]:
        """The calls that run a part, kept. `fresh`: a backward pass after which the parameters'
        gradients are its own alone."""
        self._ready(part)
        program = self.program(part)
        steps, before = self._bind(part, program, fresh), list[Bound]()
        if fresh and (params := not_overwritten(self.plan, program)):
            before = [self.session.clear(params)]
        if self._around is not None or (self._dynamic and part[0] == FORWARD):
            steps = [*before, *steps]  # they are counted as the program's
        elif {*part[1:]} == {0, self._end}:
            steps = self.session.together(program, before, steps, self.looked_into)
        else:
            steps = flat([*before, *steps])
        self._bound[part, fresh] = steps
        return steps

    def _bind(self, part: Part, program: Program, fresh: bool) -> list[Bound]:
        if self._dynamic and part[0] == FORWARD and not self.session.whole:
            return [self._bind_dynamic(step) for step in program]
        alone = [(s,) for s in program] if self._around else [program]  # looked at: none are fused
        return [bound for steps in alone for bound in self.session.bind(steps, fresh)]

    def _bind_dynamic(self, step: Step) -> Bound:
        bound = self.session.bind((step,))[0]
        if isinstance(step, Forward) and self.layers[step.node.index].dynamic:
            return partial(self._forward_dynamic, step, bound)
        return bound

    def _forward_dynamic(self, step: Forward, bound: Bound) -> None:
        """A layer whose top shapes depend on values: what follows it is reshaped as needed."""
        layer = self.layers[step.node.index]
        bottom = [self.session.look(v) for v in step.bottoms]
        shapes = [tuple(s) for s in layer.reshape_to(bottom)]
        if shapes != layer.top_shapes:
            layer.top_shapes = shapes
            changed = dict(self.plan.shapes) | dict(zip(step.node.tops, shapes))
            self.plan = self.plan.with_shapes(changed)
            self._stale.update(range(step.node.index + 1, len(self.layers)))
            self.reshape(step.node.index + 1, self._until)
            bound = self.session.bind((step,))[0]
        bound()

    @one_thread
    def forward(self, start: int | None = None, end: int | None = None) -> None:
        """Run the layers `start` to `end` forward; all where neither is given."""
        if self._steady is not None and start is None and end is None:
            for step in self._steady:
                step()
            return
        part = (FORWARD, start or 0, self._end if end is None else end)
        self._follow(part[1], part[2])
        steps = self._bound.get((part, False))
        if steps is None:
            steps = self._compile(part)
        self.ran, self._until = True, part[2]
        if self._around is not None:
            self._around(part, self.program(part), partial(self._run_step, part))
        elif not self._dynamic or self.session.whole:
            for step in steps:
                step()
            if self._dynamic:
                take_shapes(self, self.session.shapes())
            elif part == (FORWARD, 0, self._end):
                self._steady = steps
        else:
            for index in range(len(steps)):
                self._run_step(part, index)

    def _run_step(self, part: Part, index: int) -> None:
        # a dynamic layer may have exchanged the steps behind it
        (self._bound.get((part, False)) or self._compile(part))[index]()

    @one_thread
    def backward(self, start: int | None = None, end: int | None = None) -> None:
        """Run the layers `start` down to `end` backward."""
        part, arena = (BACKWARD, self._end if start is None else start, end or 0), self.arena
        for lender in arena.lenders:
            lender.settle()
        fresh = arena.cleared and self._around is None
        steps = self._bound.get((part, fresh))
        if steps is None:
            steps = self._compile(part, fresh)
        if self._around is not None:
            arena.settle()
            self._around(part, self.program(part), partial(self._run_step, part))
        elif fresh:
            arena.cleared = False
            with self.overwriting:
                for step in steps:
                    step()
            if part == (BACKWARD, self._end, 0) and not arena.lenders:
                self._steady_back = steps
        else:
            for step in steps:
                step()

    def let_run(self, around: Around | None) -> None:
        """From now on `around` runs the steps of each pass, which may do more between them."""
        if self.session.whole:  # it knows no steps
            self._make_session = Session
            self.restart()
        self._keep_everything()  # it may look at any blob underway
        self._around = around
        self.forget()

    # The solver's inner loop: a pass that is only run again has little around it.

    def forward_loss(self) -> float:
        """Run all layers forward; the weighted sum of the losses."""
        if self._steady is None or not self.turn.acquire(False):
            self.forward()
            return self.session.loss()
        try:
            for step in self._steady:
                step()
        finally:
            self.turn.release()
        return self.session.loss()

    def backward_all(self) -> None:
        """Run all layers backward."""
        steady, arena = self._steady_back, self.arena
        if steady is None or not arena.cleared or not self.turn.acquire(False):
            self.backward()
            return
        try:
            arena.cleared = False
            with self.overwriting:
                for step in steady:
                    step()
        finally:
            self.turn.release()
