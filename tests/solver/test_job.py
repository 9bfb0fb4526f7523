"""Planning a solver: what `check` and `Solver` find, at once and without running anything."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from caffelite import NesterovSolver, SGDSolver, get_solver
from caffelite.errors import CaffeliteError, SolverError
from caffelite.judge.check import check_file
from caffelite.schema.common import Phase
from caffelite.schema.solver import SolverParameter, SolverType
from caffelite.solver import Monitor, Solver, load_job, plan_job, register_solver
from caffelite.solver.base import SOLVERS
from caffelite.solver.rules import RULES
from caffelite.solver.rules.sgd import SGD

from .made import LINE, Notes, spiral

GOOD = 'base_lr: 0.1 lr_policy: "fixed" max_iter: 10 snapshot_after_train: false\n'
TESTS = "test_interval: 5 test_iter: 2\n"


def write(folder: Path, text: str, net: str) -> str:
    (folder / "n.net").write_text(net)
    (folder / "s.solver").write_text(f'net: "n.net"\n{text}')
    return str(folder / "s.solver")


@pytest.mark.parametrize(
    ("text", "net", "messages"),
    [
        (GOOD + TESTS + 'watch: "acuracy" patience: 1', spiral(), ['no output "acuracy"']),
        (GOOD + TESTS + 'watch: "loss" watch_net: 1 keep_best: true', spiral(), ["test net #1"]),
        (GOOD.replace("max_iter", "max_epoch"), LINE, ["the training data has no known size"]),
        (GOOD + "test_interval: 5", LINE, ["the solver has no test_iter"]),
        (GOOD + 'weights: "none.caffemodel"', LINE, ['no file of parameters "none.caffemodel"']),
        (GOOD + 'weights: "n.net,none.h5"', LINE, ['no file of parameters "none.h5"']),
        (GOOD + "momentum: 2 delta: 0 iter_size: 0 max_epoch: 0", LINE, ["momentum", "iter_size"]),
        (GOOD + 'type: "Sgd" ' + TESTS, spiral("batch_size: 0"), ['"Sgd"', "batch_size"]),
        (GOOD + "test_iter: 1", spiral(), ["no test_interval"]),
        (GOOD + 'train_net: "n.net"', LINE, ["two nets"]),
        (GOOD + "max_epoch: 3 iter_size: 0", spiral(), ["max_epoch", "iter_size"]),
    ],
)
def test_check_and_solver_find_the_same(
    text: str, net: str, messages: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path, text, net)
    found = check_file(path).mistakes
    with pytest.raises(CaffeliteError) as caught:
        get_solver(path, Monitor())
    assert list(map(str, found)) == list(map(str, caught.value.problems))
    for message in messages:
        assert message in str(caught.value)


def test_numbers_out_of_bounds_in_a_message_are_found_with_the_rest(tmp_path: Path) -> None:
    path = write(tmp_path, "", spiral()).replace("s.solver", "n.net")
    param = SolverParameter(net=path, base_lr=0.1, lr_policy="fixed", snapshot_after_train=False)
    param.iter_size, param.max_epoch, param.type = 0, 3, "Sgd"
    with pytest.raises(SolverError) as caught:
        plan_job(param)
    assert [p.message for p in caught.value.problems] == [
        "iter_size cannot be 0",
        'unknown solver type "Sgd"',
    ]


def test_mistakes_in_solver_and_nets_are_said_at_once(tmp_path: Path) -> None:
    net = spiral().replace('"ReLU"', '"Relu"')
    text = GOOD + TESTS + 'momentum: 3\nweights: "none"\nlr_policy: "step"'
    path = write(tmp_path, text.replace('lr_policy: "fixed"', ""), net)
    with pytest.raises(SolverError) as caught:
        load_job(path)
    said = [str(p).split("\n")[0].removeprefix(f"{tmp_path}/") for p in caught.value.problems]
    assert said == [
        'n.net:6:27: unknown layer type "Relu"',
        "s.solver:4:11: momentum cannot be 3",
        's.solver:5:10: there is no file of parameters "none"',
        's.solver:6:12: lr_policy "step" needs gamma',
        's.solver:6:12: lr_policy "step" needs stepsize',
    ]


def test_where_snapshots_go_matters_only_to_who_takes_some(tmp_path: Path) -> None:
    prefix = 'snapshot_prefix: "no_such_folder/run"\n'
    load_job(write(tmp_path, GOOD + prefix, LINE))
    path = write(tmp_path, GOOD + prefix + "snapshot: 5", LINE)
    with pytest.raises(CaffeliteError, match="no_such_folder"):
        load_job(path)


def test_a_run_to_the_end_needs_an_end(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD.replace("max_iter: 10", ""), LINE)
    load_job(path)  # to be stepped by hand
    with pytest.raises(SolverError, match="the solver has no max_iter"):
        load_job(path, whole=True)
    solver = get_solver(path, Monitor())
    solver.step(2)
    with pytest.raises(SolverError, match="the solver has no max_iter"):
        solver.solve()


def test_a_job_says_what_will_be_run(tmp_path: Path) -> None:
    text = GOOD.replace("max_iter: 10", "max_epoch: 2") + 'test_interval: 5 type: "Adam"'
    job = load_job(write(tmp_path, text, spiral("batch_size: 20")))
    assert (job.rule.name, job.rate(3), job.param.max_iter, job.test_iter) == (
        "Adam",
        0.1,
        30,
        (15,),
    )
    assert (job.train.state.phase, job.train.outputs) == (Phase.TRAIN, ["loss"])
    (test,) = job.tests
    assert (test.state.phase, test.outputs) == (Phase.TEST, ["loss", "accuracy"])
    assert (len(test.plan.layers), test.plan.count) == (7, 2 * 16 + 16 + 16 * 3 + 3)
    assert [note.split(":")[0] for note in job.notes[1:]] == ["max_epoch", "test net #0"]
    assert "the paper's is momentum: 0.9" in job.notes[0]


def test_levels_and_stages_reach_the_nets(tmp_path: Path) -> None:
    net = spiral() + 'layer { name: "n" type: "Reduction" bottom: "score" top: "norm" %s }'
    net %= 'include { phase: TRAIN stage: "more" min_level: 2 } include { phase: TEST stage: "x" }'
    text = GOOD + TESTS + 'train_state { stage: "more" level: 2 } test_state { stage: "x" }'
    path = write(tmp_path, text, net)
    job, solver = load_job(path), get_solver(path, Monitor())
    assert job.train.outputs == ["loss", "norm"] == solver.net.outputs
    assert job.tests[0].outputs == solver.test_nets[0].outputs
    assert "norm" in job.tests[0].outputs


def test_planning_allocates_and_runs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forward(*arguments: object) -> None:
        raise AssertionError("a layer was run")

    monkeypatch.setattr("caffelite.layers.inner_product.InnerProduct.forward", forward)
    monkeypatch.setattr("caffelite.layers.spiral_data.SpiralData.forward", forward)
    net = spiral().replace("num_output: 16", "num_output: 20000000")
    path = write(tmp_path, GOOD + TESTS, net)
    tracemalloc.start()
    job = load_job(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert job.train.plan.count > 10**8 and peak < 4e6


def test_a_solver_is_made_of_a_job(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD + TESTS + 'type: "Nesterov"', spiral())
    job = load_job(path)
    monitor = Notes()
    solver = get_solver(job, monitor)
    assert isinstance(solver, NesterovSolver) and solver.path == path
    assert tuple(monitor.notes) == job.notes
    with pytest.raises(TypeError, match="SGDSolver was given a job for Nesterov"):
        SGDSolver(job)


def test_a_class_trains_with_its_own_rule(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD + 'type: "AdaGrad" momentum: 0.9', LINE)
    assert SGDSolver(path, Monitor()).type == "SGD"  # whose momentum is no mistake
    with pytest.raises(SolverError, match="AdaGrad cannot use momentum"):
        get_solver(path)


def test_the_old_name_of_a_rule_works_in_a_message_too(tmp_path: Path) -> None:
    path = write(tmp_path, "", LINE)
    param = SolverParameter(net=path.replace("s.solver", "n.net"), base_lr=0.1, lr_policy="fixed")
    param.snapshot_after_train = False
    param.solver_type = SolverType.NESTEROV
    assert plan_job(param).rule.name == "Nesterov"


def test_another_loop_around_a_rule(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SOLVERS, "Twice", Solver)  # taken away again after the test
    monkeypatch.setitem(RULES, "Twice", SGD)

    @register_solver("Twice")
    class Twice(Solver):
        rule = SGD

        def apply_update(self) -> None:
            super().apply_update()
            super().apply_update()

    path = write(tmp_path, GOOD + 'type: "Twice" momentum: 0.5', LINE)
    assert check_file(path).mistakes == []
    solver = get_solver(path, Monitor())
    assert isinstance(solver, Twice)
    weight = solver.net.params["ip"][0].data
    solver.net.blobs["x"].data[...] = 1
    solver.net.blobs["t"].data[...] = 1
    solver.step(1)
    # the gradient is -1: steps of 0.1, then of 0.1 + 0.05
    np.testing.assert_allclose(weight, 0.25, rtol=1e-6)
