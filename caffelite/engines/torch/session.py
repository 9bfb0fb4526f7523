"""TorchSession: a net's steps on PyTorch's kernels, what these lack on NumPy's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from caffelite.blob import Array
from caffelite.engines.torch import ops
from caffelite.engines.torch.captured import Captured, why_not
from caffelite.engines.torch.cell import Cell, Clock
from caffelite.engines.torch.device import CPU, Place
from caffelite.engines.torch.fusing import fuse
from caffelite.engines.torch.graphs import say
from caffelite.engines.torch.heap import keep_heap
from caffelite.engines.torch.op import Op, op_for
from caffelite.engines.torch.params import Params
from caffelite.engines.torch.pending import Pending
from caffelite.engines.torch.updating import vectors_of
from caffelite.layers.base import Layer
from caffelite.plan.graph import Version
from caffelite.plan.params import Param
from caffelite.run.memory import Memory
from caffelite.run.program import DATA, DIFF, Add, Backward, Copy, Fill, Forward, Program, Value
from caffelite.run.session import Bound, Session, Setting, Vectors

assert ops.__doc__  # imported for what it registers


class TorchSession(Session):
    """Binds steps to tensors. Each value has a `Cell`, which knows whether the host or the device
    has the newer one."""

    engine = "torch"

    def __init__(
        self, setting: Setting, previous: Session | None = None, place: Place = CPU
    ) -> None:
        self._sharing = setting.memory
        """Says which data is not kept."""
        # No two values share host memory: a view may outlive the value that it was made of.
        placement, dtype = setting.memory.placement, setting.memory.dtype
        old = previous.memory if isinstance(previous, TorchSession) else setting.memory
        own = Memory(placement, dtype, old=old)
        super().__init__(replace(setting, memory=own), previous)
        self.place = place
        self.lazy_loss = not place.shares
        self.clock = Clock()
        self.params = Params(setting.arena, place)
        self._cells: dict[tuple[Version, str, int], Cell] = {}
        self._ops: dict[int, Op] = {}
        self._numpy: set[int] = set()
        self._written: set[Param] = set()
        self.mark: object = None
        """The pass that has left the ops as they are: a recorded one, or a new object each time."""
        self.captures = [0]
        """How often passes of this net have been recorded, in all of its sessions."""
        self._begun = False
        if isinstance(previous, TorchSession):
            self._take_over(previous)
        self._lost = [(self.cell(Value(v)), w) for v, w in self.plan.loss_weights.items()]

    def _take_over(self, old: TorchSession) -> None:
        """Go on with the values and the ops of the session before, as far as their shapes stand."""
        self.clock, self.captures = old.clock, old.captures
        owner, slot = self.memory.placement.owner, (self._sharing.slot, old._sharing.slot)
        for (version, of, share), cell in old._cells.items():
            same = self.plan.shapes.get(version) == old.plan.shapes[version]
            lost = of == DATA and any(version in s for s in slot)
            if same and not lost and not share and owner[version] is version:
                cell.moved(partial(self.memory.array, Value(version, of)))
                self._cells[version, of, share] = cell
        self._ops = dict(old._ops)
        self.lets_go, self.has_let_go = old.lets_go, old.has_let_go

    # Values.

    def cell(self, value: Value) -> Cell:
        """Where a value lies."""
        owner = self.memory.placement.owner[value.version]
        key = (owner, value.of, value.share)
        found = self._cells.get(key)
        if found is None:
            make = partial(self.memory.array, Value(owner, value.of, value.share))
            found = self._cells[key] = Cell(make, self.place, self.clock)
        return found

    @property
    def cells(self) -> Iterable[Cell]:
        """All that there are so far."""
        return self._cells.values()

    def look(self, value: Value) -> Array:
        self.check()
        self.cell(value).hand_out()
        return super().look(value)

    def give(self, value: Value, array: Array) -> None:
        super().give(value, array)
        owner = self.memory.placement.owner[value.version]
        cell = Cell(partial(self.memory.array, value), self.place, self.clock)
        cell.handed = True
        self._cells[owner, value.of, value.share] = cell

    def loss(self) -> float:
        return float(self.pending_loss())

    def pending_loss(self) -> Pending:
        # sums are copies: a replay writes the losses' own memory
        return Pending([(weight, cell.read().sum()) for cell, weight in self._lost], self.check)

    def vectors(self) -> Vectors:
        # on the CPU the memory is NumPy's too, and its blocks in the cache are faster
        if self.place.shares:
            return super().vectors()
        return vectors_of(self.setting.arena, self.place)

    def check(self) -> None:
        """Refuse bad values that ops have met on the device since someone last looked."""
        if not self.place.shares:
            for op in self._ops.values():
                op.check()

    # Programs.

    def bind(self, program: Program, fresh: bool = False) -> list[Bound]:
        self._written = set()
        fused = fuse(program, self)
        ends = self._ends(program)
        bound: list[Bound] = []
        for at, step in enumerate(program):
            run = fused[at] if at in fused else self.bind_step(step)
            drops = [cell.let_go for cell in ends.get(at, ())]
            bound.append(partial(_all, [run, *drops]) if drops else run)
        if bound:
            bound[0] = partial(_all, [self._begin, bound[0]])
            if not self.place.shares:
                bound[-1] = partial(_all, [bound[-1], self.params.written])
        return bound

    def together(
        self,
        program: Program,
        before: Sequence[Bound],
        steps: Sequence[Bound],
        looked_into: str | None = None,
    ) -> list[Bound]:
        graphs = self.place.graphs
        if graphs is None:
            return super().together(program, before, steps)
        why = why_not(self, program, looked_into)
        if why is not None:
            say(f"not captured as a CUDA graph: {why}")
            return super().together(program, before, steps)
        return [Captured(self, graphs, program, before, steps)]

    def let_gradients_go(self) -> None:
        self.lets_go = True
        if self.place.shares:
            keep_heap()

    def _begin(self) -> None:
        if not self._begun:
            self.mark = object()
            self.clock.tick()
            self.params.send()

    @contextmanager
    def pass_of(self, feeds: Sequence[Bound], ops: Sequence[Op]) -> Iterator[None]:
        """A whole pass, in which what the host has to do comes first: its data layers, and what
        the ops take from chance."""
        self.clock.tick()
        self.params.send()
        self._begun = True
        try:
            for feed in feeds:
                feed()
            for op in ops:
                op.draw()
            yield
        finally:
            self._begun = False

    def _ends(self, program: Program) -> dict[int, list[Cell]]:
        """After which step a value that is not kept is of no use any more."""
        slots, owner = self._sharing.slot, self.memory.placement.owner
        last: dict[Cell, int] = {}
        written: set[Cell] = set()
        for at, step in enumerate(program):
            for value in step.reads:
                cell = self.cell(value)
                if value.of == DATA and owner[value.version] in slots:
                    last[cell] = at
                elif value.of == DIFF and self.lets_go and cell in written:
                    last[cell], self.has_let_go = at, True
            for value in step.writes:
                cell = self.cell(value)
                if value.of == DATA and owner[value.version] in slots:
                    last[cell] = at
                elif cell in last:  # a gradient that is written in place
                    last.pop(cell)
                written.add(cell)
        ends: dict[int, list[Cell]] = {}
        for cell, at in last.items():
            ends.setdefault(at, []).append(cell)
        return ends

    def op(self, layer: Layer, index: int) -> Op | None:
        """The op for a layer, as it is shaped now."""
        shapes = (list(layer.bottom_shapes), list(layer.top_shapes))
        found = self._ops.get(index)
        if found is not None and found.shapes == shapes:
            return found
        self._ops.pop(index, None)
        found = op_for(layer, self.params)
        if found is None:
            self._numpy.add(index)
        else:
            self._ops[index] = found
        return found

    @property
    def on_numpy(self) -> list[str]:
        """The types of layers, bound so far, that run on the host for want of an op."""
        return sorted({self.layers[i].type for i in self._numpy})

    def runs_on(self, index: int) -> str:
        return "numpy" if index in self._numpy else self.engine

    def finish(self) -> None:
        self.place.finish()

    def bind_step(self, step: object) -> Bound:
        if isinstance(step, (Forward, Backward)):
            index = step.node.index
            op = self.op(self.layers[index], index)
            if op is None:
                return self._on_host(step)
            if isinstance(step, Forward):
                return self._forward(op, step)
            return self._backward(op, step)
        if isinstance(step, Fill):
            return partial(_fill, self.cell(step.value), step.number)
        if isinstance(step, Add):
            return partial(_add, self.cell(step.to), self.cell(step.share))
        if isinstance(step, Copy):
            return partial(_copy, self.cell(step.to), self.cell(step.source))
        raise TypeError(f"no binding for {step}")

    def _on_host(self, step: Forward | Backward) -> Bound:
        """A layer's own method on host arrays, with what it reads fetched before. What it does not
        read it gets as it lies there."""
        reads = [self.cell(v) for v in step.reads]
        writes = [self.cell(v) for v in step.writes]
        run = super().bind_step(step)
        learned = bool(self.layers[step.node.index].params)
        twins = self.params.twins if learned and not self.place.shares else []
        if isinstance(step, Backward):
            self.note_overwritten(step.node.index, self.layers[step.node.index].overwrites)

        def bound() -> None:
            for cell in reads:
                cell.fetch()
            for twin in twins:
                twin.written()  # by the steps before this one
                twin.fetch()
            run()
            for cell in writes:
                cell.host_wrote()
            for twin in twins:
                twin.send()

        return bound

    def _forward(self, op: Op, step: Forward) -> Bound:
        bottoms, tops = self._cells_of(step.bottoms), self._cells_of(step.tops)
        packed, views, forward = op.channels_last, op.views, op.forward
        spares = [_spare(cell, bottoms) for cell in tops]
        draw = op.draw

        def bound() -> None:
            if not self._begun:
                draw()
            found = forward([c.read(packed) for c in bottoms], [s() for s in spares])
            for cell, tensor in zip(tops, found):
                cell.write(tensor, views)
            if views:
                for cell in bottoms:
                    cell.aliased = True

        return bound

    def _backward(self, op: Op, step: Backward) -> Bound:
        reads = set(step.reads)
        tops = [self.cell(v) if v in reads else None for v in step.tops]
        bottoms = [self.cell(v) if v in reads else None for v in step.bottoms]
        top_diffs = self._cells_of(step.top_diffs)
        bottom_diffs = [None if v is None else self.cell(v) for v in step.bottom_diffs]
        needed = [cell is not None for cell in bottom_diffs]
        packed, views, backward = op.channels_last, op.views, op.backward
        spares = [_spare(cell, top_diffs) if cell else _nothing for cell in bottom_diffs]
        self.note_overwritten(step.node.index, True)

        def bound() -> None:
            found = backward(
                [None if c is None else c.read(packed) for c in tops],
                [c.read(packed) for c in top_diffs],
                [None if c is None else c.read(packed) for c in bottoms],
                needed,
                [s() for s in spares],
            )
            for cell, tensor in zip(bottom_diffs, found):
                if cell is not None and tensor is not None:
                    cell.write(tensor, views)
            if views:
                for cell in top_diffs:
                    cell.aliased = True

        return bound

    def _cells_of(self, values: Sequence[Value]) -> list[Cell]:
        return [self.cell(v) for v in values]

    # Gradients of parameters.

    def note_overwritten(self, index: int, overwrites: bool) -> None:
        """The gradients of this layer's parameters are written anew in the program being bound."""
        # a layer that shares one of its parameters adds to the gradients of all of them
        if overwrites and self.layers[index].gradients is self.setting.gradients:
            learns = self.layers[index].learns
            self._written.update(u.param for u, yes in zip(self.plan.uses[index], learns) if yes)

    def clear(self, params: Sequence[Param]) -> Bound:
        """Zeros for those gradients that the program last bound does not write anew."""
        arena = self.setting.arena
        where = dict(zip(arena.params, arena.slices))
        parts = [where[p] for p in self.plan.params if p in where and p not in self._written]
        diff = self.params.twins[0]

        def clear() -> None:
            diff.send()
            for part in parts:
                diff.diff[part].zero_()
            diff.written()

        return clear


def _nothing() -> None:
    return None


def _all(steps: Sequence[Bound]) -> None:
    for step in steps:
        step()


def _spare(cell: Cell, read: Sequence[Cell]) -> partial[Tensor | None]:
    """What a result may be written into: the last pass's tensor; in place, what is read."""
    if cell in read:
        return partial(_in_place, cell)
    return partial(_last, cell)


def _last(cell: Cell) -> Tensor | None:
    return cell.spare()


def _in_place(cell: Cell) -> Tensor | None:
    return cell.spare() if cell.tensor_ok else None


def _fill(cell: Cell, number: float) -> None:
    cell.write(torch.full_like(cell.read(), number))


def _add(to: Cell, share: Cell) -> None:
    into, values = to.read(), share.read()
    to.write(torch.add(into, values) if to.aliased else into.add_(values))


def _copy(to: Cell, source: Cell) -> None:
    to.write(source.read().clone())
