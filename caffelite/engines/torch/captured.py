"""Captured: a whole pass of a net that is recorded once and replayed from then on.

Before each replay the data layers run on the host, and what differs from the pass before is put
where the recording reads it: batches, what was written on the host, parameters, masks of Dropout.
After it each cell is as the recorded pass left it. A backward pass reads what the ops have kept of
the forward pass, so it is replayed only behind the forward pass that it was recorded behind.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor

from caffelite.engines.torch.cell import Cell
from caffelite.engines.torch.graphs import WARM_UPS, Graphs, Run, first_line, say
from caffelite.engines.torch.op import Op
from caffelite.run.program import DATA, Backward, Forward, Program, Step, Value
from caffelite.run.session import Bound

if TYPE_CHECKING:
    from caffelite.engines.torch.session import TorchSession

MOST = 16
"""So often a net is recorded anew; one whose shapes keep changing is not worth the time."""


def why_not(session: TorchSession, program: Program, looked_into: str | None) -> str | None:
    """Why a pass cannot be captured, if so: all that it does must be work of the device, with the
    same shapes each time, that nobody looks into underway."""
    if looked_into:
        return looked_into
    for step in program:
        if not isinstance(step, (Forward, Backward)):
            continue
        layer = session.layers[step.node.index]
        called = f'layer "{layer.name}" ({layer.type})'
        if layer.dynamic:
            return f"the shapes behind {called} depend on values"
        op = session.op(layer, step.node.index)
        if op is None and not _feeds(session, step):
            return f"{called} runs on the host"
        if op is not None and op.on_host:
            return f"{called} {op.on_host}"
    if session.captures[0] >= MOST:
        return f"it has been captured {MOST} times, since its shapes or its memory keep changing"
    return None


def _feeds(session: TorchSession, step: Step) -> bool:
    """A data layer on the host: it reads no blob, so it can run before all others."""
    if not isinstance(step, Forward):
        return False
    return session.layers[step.node.index].source and not step.bottoms


class Captured:
    """A whole pass: `steps` run the program's steps, one each, and `before` comes first."""

    def __init__(
        self,
        session: TorchSession,
        graphs: Graphs,
        program: Program,
        before: Sequence[Bound],
        steps: Sequence[Bound],
    ) -> None:
        self._session, self._graphs = session, graphs
        feeding = [_feeds(session, step) for step in program]
        self._feeds = [bound for bound, feeds in zip(steps, feeding) if feeds]
        self._steps = [*before, *(bound for bound, feeds in zip(steps, feeding) if not feeds)]
        recorded = [step for step, feeds in zip(program, feeding) if not feeds]
        self._ops = _ops_of(session, recorded)
        self._forward = all(not isinstance(step, Backward) for step in recorded)
        self._reads, self._writes = _cells_of(session, recorded)
        """Cells whose values come from elsewhere, with what these are; and those it writes."""
        self._touched = list(dict.fromkeys([*self._reads, *self._writes]))
        self._left = WARM_UPS
        self.replay: Run | None = None

    def __call__(self) -> None:
        session = self._session
        with session.pass_of(self._feeds, self._ops if self._forward else ()):
            if self.replay is not None and self._fits():
                self._replay(self.replay)
            elif self._left > 0 or self.replay is not None:
                self._left -= 1
                session.mark = object()
                self._graphs.warm_up(self._run)
            elif self._left == 0 and (self._forward or isinstance(session.mark, Captured)):
                self._capture()
            else:
                session.mark = object()
                self._run()

    def _run(self) -> None:
        for step in self._steps:
            step()

    def _capture(self) -> None:
        """Record, then replay. If that fails all is as it was, and the steps run as they are."""
        session = self._session
        inputs = [(cell, cell.read()) for cell in self._reads]
        cells = [(cell, cell.state()) for cell in self._touched]
        ops = [(op, dict(vars(op))) for op in self._ops]
        try:
            replay = self._graphs.capture(self._run)
        except BaseException as error:
            for cell, state in cells:
                cell.put(state)
            _put_back(ops)
            if not isinstance(error, RuntimeError):
                raise
            say(f"the net's pass is not captured: {first_line(error)}")
            self._left, session.mark = -1, object()
            self._run()
            return
        session.captures[0] += 1
        self._inputs, self._kept_before = inputs, ops
        self._fixed = [] if self._forward else self._seen_by_others()
        self._behind = session.mark
        self._after = [(cell, cell.state(), cell in self._writes) for cell in self._touched]
        self._kept = [(op, dict(vars(op))) for op in self._ops]
        self.replay = replay
        self._replay(replay)

    def _seen_by_others(self) -> list[tuple[Cell, Tensor]]:
        """Data that cannot be written anew before a backward pass, since other values, or what ops
        have kept, lie in the same memory."""
        held = [cell.tensor for cell in self._session.cells]
        held += [x for _, kept in self._kept_before for x in kept.values()]
        where = Counter(_memory(x) for x in held if isinstance(x, Tensor))
        data = [pair for pair, of in zip(self._inputs, self._reads.values()) if of == DATA]
        return [(cell, tensor) for cell, tensor in data if where[_memory(tensor)] > 1]

    def _fits(self) -> bool:
        """Does all stand where the recording reads it, or can it be put there?"""
        if self._forward:
            return True
        if self._session.mark is not self._behind:
            return False
        return not any(cell.apart_from(tensor) for cell, tensor in self._fixed)

    def _replay(self, replay: Run) -> None:
        for cell, tensor in self._inputs:
            cell.bring(tensor)
        replay()
        self._session.params.written()
        for cell, state, wrote in self._after:
            cell.replayed(state, wrote)
        _put_back(self._kept)
        if self._forward:
            self._session.mark = self


def _memory(tensor: Tensor) -> int:
    return int(tensor.untyped_storage().data_ptr())


def _put_back(ops: Sequence[tuple[Op, dict[str, Any]]]) -> None:
    for op, kept in ops:
        vars(op).update(kept)


def _ops_of(session: TorchSession, steps: Sequence[Step]) -> list[Op]:
    found: dict[int, Op] = {}
    for step in steps:
        if isinstance(step, (Forward, Backward)):
            op = session.op(session.layers[step.node.index], step.node.index)
            assert op is not None
            found[step.node.index] = op
    return list(found.values())


def _cells_of(
    session: TorchSession, steps: Sequence[Step]
) -> tuple[dict[Cell, str], dict[Cell, None]]:
    """What the steps read that they have not written before, and what they write."""
    reads: dict[Cell, str] = {}
    writes: dict[Cell, None] = {}

    def read(values: Sequence[Value]) -> None:
        for value in values:
            cell = session.cell(value)
            if cell not in writes:
                reads.setdefault(cell, value.of)

    for step in steps:
        read(step.reads)
        writes.update(dict.fromkeys(session.cell(value) for value in step.writes))
    return reads, writes
