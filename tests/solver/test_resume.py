"""20 iterations, and 10 then resumed for 10 more, are the same to the last bit."""

import math
from pathlib import Path

import numpy as np
import pytest

from caffelite import snapshot
from caffelite.errors import SnapshotError
from caffelite.solver import Monitor
from caffelite.solver.resume import run_state

from .made import make, parameters, spiral
from .test_rules import RULES

NET = spiral("batch_size: 7", dropout=0.3)
POLICY = 'lr_policy: "cosine" max_iter: 20 warmup_iter: 4 weight_decay: 0.01 iter_size: 2'


@pytest.mark.parametrize("kind", ["BINARYPROTO", "HDF5"])
@pytest.mark.parametrize("rule", RULES)
def test_a_resumed_run_is_the_run(tmp_path: Path, rule: str, kind: str) -> None:
    if kind == "HDF5":
        pytest.importorskip("h5py")
    text = f'type: "{rule}" {RULES[rule][0]} {POLICY} random_seed: 5 snapshot_format: {kind}'
    whole = make(tmp_path, text, NET)
    whole.step(20)

    first = make(tmp_path, text, NET)
    first.step(10)
    state = first.snapshot()
    # another seed: all chance must come from the snapshot
    second = make(tmp_path, text.replace("random_seed: 5", "random_seed: 6"), NET)
    second.restore(state)
    assert second.iter == 10
    second.step(10)

    assert np.array_equal(parameters(second), parameters(whole))
    for mine, theirs in zip(second.history, whole.history):
        assert np.array_equal(mine, theirs)


def test_the_state_of_another_rule_is_refused(tmp_path: Path) -> None:
    fields = 'base_lr: 0.1 lr_policy: "fixed"'
    sgd = make(tmp_path, fields)
    sgd.step(1)
    state = sgd.snapshot()
    adam = make(tmp_path, f'{fields} type: "Adam" momentum: 0.9')
    with pytest.raises(SnapshotError, match=r"its history does not fit[^$]*4 arrays.*for Adam"):
        adam.restore(state)


@pytest.mark.parametrize(
    "old, new",
    [
        ("SGD", "SGD"),
        ("NESTEROV", "Nesterov"),
        ("ADAGRAD", "AdaGrad"),
        ("RMSPROP", "RMSProp"),
        ("ADADELTA", "AdaDelta"),
        ("ADAM", "Adam"),
    ],
)
def test_the_old_names_of_rules_work(tmp_path: Path, old: str, new: str) -> None:
    fields = RULES[new][0]
    solver = make(tmp_path, f'solver_type: {old} {fields} lr_policy: "fixed"', monitor=Monitor())
    assert solver.type == new


def test_the_state_tells_caffe_which_step_a_policy_is_in(tmp_path: Path) -> None:
    step = 'base_lr: 0.1 lr_policy: "step" gamma: 0.5 stepsize: 2'
    steps = 'base_lr: 0.1 lr_policy: "multistep" gamma: 0.5 stepvalue: 3 stepvalue: 5 stepvalue: 6'
    for text, expected in ((step, 2), (steps, 2), ('base_lr: 0.1 lr_policy: "fixed"', 0)):
        solver = make(tmp_path, text)
        solver.step(5)
        state = snapshot.read_state(solver.snapshot())
        assert (state.current_step, state.iter_last_event) == (expected, 0)
        assert state.minimum_loss == 1e38 and state.iter == 5


def test_a_solver_is_as_it_was_where_a_state_cannot_be_taken(tmp_path: Path) -> None:
    text = 'base_lr: 0.1 lr_policy: "fixed" random_seed: 5'
    first = make(tmp_path, text, NET)
    first.step(3)
    path = first.snapshot()
    state = snapshot.read_state(path)
    solver = make(tmp_path, text, NET)
    solver.step(1)
    before, run = parameters(solver), run_state(solver)
    state.run["layers"] = 3  # not what it should be
    snapshot.write_state(path, state)
    with pytest.raises(SnapshotError, match="run_iter_3"):
        solver.restore(path)
    Path(snapshot.model_path(state, path)).unlink()
    with pytest.raises(SnapshotError):
        solver.restore(path, verify=False)
    assert solver.iter == 1 and np.array_equal(parameters(solver), before)
    assert run_state(solver) == run


def test_diffs_are_in_a_snapshot_that_asks_for_them(tmp_path: Path) -> None:
    sizes = []
    for more in ("", "snapshot_diff: false", "snapshot_diff: true"):
        solver = make(tmp_path, f'base_lr: 0.1 lr_policy: "fixed" {more}', NET)
        solver.step(1)
        state = solver.snapshot()
        sizes.append(Path(state.replace("solverstate", "caffemodel")).stat().st_size)
    values = 4 * sum(math.prod(p.shape) for p in solver.net.arena.params)
    assert sizes[0] == sizes[1] and values <= sizes[2] - sizes[0] < values + 100
