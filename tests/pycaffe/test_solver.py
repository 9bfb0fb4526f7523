"""caffe.SGDSolver and its kin."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import caffelite.pycaffe as caffe
from caffelite.errors import NetError, SolverError

NET = """
name: "line"
layer { name: "d" type: "DummyData" top: "x" top: "t" dummy_data_param {
  shape { dim: 4 dim: 3 } shape { dim: 4 dim: 1 }
  data_filler { value: 1 } data_filler { value: 2 } } }
layer { name: "ip" type: "InnerProduct" bottom: "x" top: "y"
  inner_product_param { num_output: 1 bias_term: false } }
layer { name: "l" type: "EuclideanLoss" bottom: "y" bottom: "t" top: "loss" }
"""
SOLVER = """
net: "line.net" base_lr: 0.01 lr_policy: "inv" gamma: 0.1 power: 0.75 momentum: 0.9
test_iter: 1 test_interval: 10 display: 5 max_iter: 20 snapshot_prefix: "model"
"""


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    Path("line.net").write_text(NET)
    Path("line.solver").write_text(SOLVER)
    return "line.solver"


def test_it_solves_and_logs_in_glogs_form(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    solver = caffe.SGDSolver(path)
    assert solver.iter == 0
    solver.solve()
    assert solver.iter == 20 and Path("model_iter_20.solverstate").is_file()
    lines = capsys.readouterr().err.splitlines()
    form = re.compile(r"I\d{4} \d\d:\d\d:\d\d\.\d{6} +\d+ \w+\.py:\d+\] ")
    assert all(form.match(line) for line in lines)
    text = "\n".join(form.sub("", line) for line in lines)
    assert text.startswith("Solving line\nLearning Rate Policy: inv\nIteration 0, Testing net (#0)")
    assert re.search(r"^Iteration 5 \(.* iter/s, .*s/5 iters\), loss = ", text, re.MULTILINE)
    assert (
        "\n    Train net output #0: loss = " in text and "\nIteration 5, lr = 0.00737788\n" in text
    )
    assert text.endswith("Optimization Done.")


def test_the_level_of_the_log(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    caffe.log("seen")
    try:
        caffe.init_log(1)
        caffe.log("not seen")
        caffe.SGDSolver(path).step(1)
    finally:
        caffe.init_log(0)
    assert capsys.readouterr().err.splitlines()[-1].endswith("] seen")


def test_a_changed_rate_counts_at_once(path: str) -> None:
    solver = caffe.SGDSolver(path)
    w, d = solver.net.params["ip"][0].data, solver.net.params["ip"][0].diff
    solver.param.base_lr = 0.5
    assert solver.lr == 0.5
    w[...], d[...] = 0, 1
    solver.apply_update()
    np.testing.assert_allclose(w, -0.5, rtol=1e-6)
    assert solver.iter == 1
    solver.param.momentum = 0.0
    d[...], before = 1, w.copy()
    solver.apply_update()
    np.testing.assert_allclose(w - before, -solver.core._rate_at(1), rtol=1e-6)
    solver.param.lr_policy = "stpe"
    with pytest.raises(SolverError, match="step"):
        solver.step(1)


def test_a_change_within_a_run_counts_and_the_history_stays(path: str) -> None:
    changed, constant = caffe.SGDSolver(path), caffe.SGDSolver(path)
    for solver in (changed, constant):
        solver.net.params["ip"][0].data[...] = 0
    rates = []

    def start() -> None:
        if changed.iter == 2:
            changed.param.weight_decay = 0.5
        rates.append(changed.lr)

    changed.add_callback(start, lambda: None)
    changed.step(2)
    constant.step(2)
    np.testing.assert_array_equal(changed.core.history[0], constant.core.history[0])
    changed.step(1)
    constant.step(1)
    assert len(rates) == 3
    assert (changed.net.params["ip"][0].data < constant.net.params["ip"][0].data).all()
    assert changed.core.history[0].any()


def test_callbacks_come_before_and_after_the_gradients(path: str) -> None:
    solver = caffe.get_solver(path)
    seen: list[bool] = []
    diff = solver.net.params["ip"][0].diff
    solver.add_callback(
        lambda: seen.append(bool(diff.any())), lambda: seen.append(bool(diff.any()))
    )
    solver.step(2)
    assert seen[1] and seen[3]


@pytest.mark.parametrize("name", ["SGD", "Nesterov", "AdaGrad", "RMSProp", "AdaDelta", "Adam"])
def test_all_classes_by_name_and_by_type(path: str, name: str) -> None:
    text = SOLVER.replace(
        "momentum: 0.9", "" if name in ("AdaGrad", "RMSProp") else "momentum: 0.9"
    )
    Path(path).write_text(
        text + f'type: "{name}"' + (" rms_decay: 0.9" if name == "RMSProp" else "")
    )
    solver = caffe.get_solver(path)
    assert type(solver) is getattr(caffe, f"{name}Solver")
    before = solver.net.params["ip"][0].data.copy()
    solver.step(1)
    assert (solver.net.params["ip"][0].data != before).all()


def test_snapshot_and_restore(path: str) -> None:
    solver = caffe.SGDSolver(path)
    solver.step(3)
    solver.snapshot()
    other = caffe.SGDSolver(path)
    other.restore("model_iter_3.solverstate")
    solver.step(2)
    other.step(2)
    assert other.iter == 5
    np.testing.assert_array_equal(solver.net.params["ip"][0].data, other.net.params["ip"][0].data)


def test_test_nets_and_others_share_the_weights(path: str) -> None:
    solver = caffe.SGDSolver(path)
    net = caffe.Net("line.net", caffe.TEST)
    solver.share_weights(net)
    solver.step(1)
    trained = solver.net.params["ip"][0].data
    for other in (net, *solver.test_nets):
        np.testing.assert_array_equal(other.params["ip"][0].data, trained)
    np.testing.assert_allclose(net.forward()["loss"], solver.test_nets[0].forward()["loss"])
    solver.test_nets[0].share_with(solver.net)  # as they do already
    w = solver.net.params["ip"][0]
    assert solver.test_nets[0].params["ip"][0] is w and w.home is w and w._home is None
    with pytest.raises(NetError, match="a solver trains"):
        solver.net.share_with(net)


def test_nets_outlive_their_solver(path: str) -> None:
    solver = caffe.SGDSolver(path)
    nets = [solver.net, *solver.test_nets]
    del solver
    assert all(np.isfinite(net.forward()["loss"]) for net in nets)


def test_what_there_is_not_is_refused() -> None:
    assert not caffe.has_nccl() and (caffe.solver_count(), caffe.solver_rank()) == (1, 0)
    caffe.set_solver_count(1), caffe.set_solver_rank(0), caffe.set_multiprocess(False)
    for call in (
        lambda: caffe.set_solver_count(2),
        lambda: caffe.set_multiprocess(True),
        lambda: caffe.NCCL(None, ""),
    ):
        with pytest.raises(Exception, match="one process"):
            call()


def test_the_stop_watch_runs() -> None:
    timer = caffe.Timer()
    timer.start()
    timer.stop()
    assert 0 <= timer.ms < 1000 and timer.ms == timer.ms
