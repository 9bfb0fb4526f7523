"""20 iterations, and 10 then resumed for 10 more, are the same to the last bit."""

from pathlib import Path

import numpy as np
import pytest

from caffelite.errors import SnapshotError
from caffelite.solver import Monitor

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
