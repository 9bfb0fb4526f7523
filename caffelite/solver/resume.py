"""A solver's state to a snapshot and back: a resumed run is the very run that was left."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from caffelite import snapshot
from caffelite.errors import Problem, SnapshotError
from caffelite.reading import reading
from caffelite.schema.solver import SolverParameter
from caffelite.seal import sealed_with
from caffelite.snapshot import RunState
from caffelite.solver.plateau import NO_LOSS

if TYPE_CHECKING:
    from caffelite.solver.base import Solver


def write(solver: Solver) -> tuple[str, str]:
    """Write the parameters and the state; the paths of the two files."""
    model, path = snapshot.paths(solver.param, solver.path, solver.iter)
    solver.net.save(model, solver.param.snapshot_diff)
    split = solver.net.arena.split
    plateau = solver.plateau
    state = RunState(
        solver.iter,
        model,
        [part for vector in solver.history for part in split(vector)],
        current_step=plateau.step if plateau else _current_step(solver.param, solver.iter),
        minimum_loss=min(plateau.lowest, NO_LOSS) if plateau else NO_LOSS,
        iter_last_event=plateau.last_event if plateau else 0,
        run=run_state(solver),
        model_sha256=sealed_with(model),
    )
    snapshot.write_state(path, state)
    return model, path


def read(solver: Solver, path: str, verify: bool) -> None:
    """Put the solver where the .solverstate says. Raises SnapshotError if it does not fit, or (if
    it is to `verify`) is damaged or is not its parameters' state; the solver is then as it was."""
    state = snapshot.read_state(path, verify)
    sizes = [math.prod(param.shape) for param in solver.net.arena.params] * len(solver.history)
    if [array.size for array in state.history] != sizes:
        raise SnapshotError(
            Problem(
                f"{path}: its history does not fit this net and solver "
                f"({len(state.history)} arrays of {sum(a.size for a in state.history)} values)",
                expected=f"{len(sizes)} arrays of {sum(sizes)} values, for {solver.type}",
                hint="is it the snapshot of another net, or of another solver type?",
            )
        )
    model = snapshot.model_path(state, path)
    if verify:
        snapshot.verify_pair(state, path, model)
    before = run_state(solver)
    try:
        with reading(f'"{path}"', "a state of this run", SnapshotError):
            put_back(solver, state.run)
            if solver.plateau is not None and not state.run.get("plateau"):
                solver.plateau.restore_caffe(
                    state.current_step, state.iter_last_event, state.minimum_loss
                )
        solver.net.copy_from(model, verify=False)
    except BaseException:
        put_back(solver, before)
        raise
    vectors = solver.history
    parts = [part for vector in vectors for part in solver.net.arena.split(vector)]
    for part, array in zip(parts, state.history):
        part[...] = array.reshape(part.shape)
    solver.take_history(vectors)
    solver.iter = state.iter


def run_state(solver: Solver) -> dict[str, Any]:
    """Where chance, data, early stopping and the policy stand, fit for JSON."""
    return {
        "streams": solver.streams.state(),
        "layers": _layer_states(solver),
        "watch": solver.watch.state() if solver.watch is not None else {},
        "plateau": solver.plateau.state() if solver.plateau is not None else {},
    }


def put_back(solver: Solver, run: dict[str, Any]) -> None:
    """Let chance, data, early stopping and the policy go on from a `run_state`; nothing,
    if it is empty."""
    if not run:
        return
    solver.streams.restore(run["streams"])
    for net, states in zip([solver.net, *solver.test_nets], run["layers"]):
        for layer in net.layers:
            layer.restore(states.get(layer.name, {}))
    if solver.watch is not None:
        solver.watch.restore(run.get("watch", {}))
    if solver.plateau is not None and run.get("plateau"):
        solver.plateau.restore(run["plateau"])


def _layer_states(solver: Solver) -> list[dict[str, Any]]:
    """For each net the states of the layers that have one."""
    nets = [solver.net, *solver.test_nets]
    return [{n.name: s for n in net.layers if (s := n.state())} for net in nets]


def _current_step(param: SolverParameter, iteration: int) -> int:
    """Which step of a stepwise policy the run is in; Caffe's files hold it, ours need not."""
    if param.lr_policy == "step":
        return int(iteration // param.stepsize)
    return sum(1 for value in param.stepvalue if value <= iteration)
