"""Planning a solver: what `check` and `Solver` find, at once and without running anything."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from caffelite import NesterovSolver, SGDSolver, get_solver
from caffelite.errors import CaffeliteError, NetError, SchemaError, SolverError
from caffelite.files import load_net, load_solver
from caffelite.judge.check import check_file
from caffelite.schema.common import Phase
from caffelite.schema.solver import SolverParameter, SolverType
from caffelite.solver import Monitor, Solver, load_job, plan_job, register_solver
from caffelite.solver.base import SOLVERS, solver_class
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


@pytest.mark.parametrize(
    ("text", "device"),
    [
        ("", None),
        ("solver_mode: CPU device_id: 3", "cpu"),
        ("solver_mode: GPU", "cuda:0"),
        ("solver_mode: GPU device_id: 3", "cuda:3"),
        ("device_id: 3", None),
    ],
)
def test_where_a_file_asks_to_run(tmp_path: Path, text: str, device: str | None) -> None:
    assert load_job(write(tmp_path, GOOD + text, LINE)).device == device


def test_a_folder_that_is_still_to_be_made_is_noted_by_who_only_looks(tmp_path: Path) -> None:
    text = GOOD + 'snapshot_prefix: "no_such_folder/run" snapshot: 5'
    param = load_solver(write(tmp_path, text, LINE))
    job = plan_job(param, str(tmp_path / "s.solver"), looks=True)
    assert job.notes == (
        "snapshot_prefix: no_such_folder is still to be made: mkdir -p no_such_folder",
    )
    with pytest.raises(CaffeliteError, match="no_such_folder"):
        plan_job(param, str(tmp_path / "s.solver"))
    param.snapshot = 0
    assert plan_job(param, str(tmp_path / "s.solver"), looks=True).notes == ()


def test_fields_of_forks_that_change_updates_are_refused_where_a_run_is_meant(
    tmp_path: Path,
) -> None:
    path = write(tmp_path, GOOD + "prune_threshold: 0.1", LINE)
    with pytest.raises(SolverError, match="prune_threshold is a field of SkimCaffe"):
        load_job(path)
    assert plan_job(load_solver(path), path, data=False)
    penalty = LINE.replace("lr_mult: 1 ", 'lr_mult: 1 regularization_type: "L1" ')
    path = write(tmp_path, GOOD, penalty)
    with pytest.raises(NetError, match="regularization_type is a field of SkimCaffe"):
        load_job(path)
    assert plan_job(load_solver(path), path, data=False)


def test_the_size_of_data_that_is_not_here_is_assumed(tmp_path: Path) -> None:
    data = (
        'layer { name: "d" type: "Data" top: "x" top: "t" %s '
        'data_param { source: "nowhere" batch_size: 4 } }\n'
    )
    ip = 'layer { name: "ip" type: "InnerProduct" bottom: "x" top: "y" %s }\n'
    ip %= "inner_product_param { num_output: 1 }"
    loss = 'layer { name: "loss" type: "SoftmaxWithLoss" bottom: "y" bottom: "t" top: "loss" }\n'
    spiral_data = (
        'layer { name: "s" type: "SpiralData" top: "x" top: "t" '
        "spiral_data_param { batch_size: 20 } %s }\n"
    )
    text = GOOD.replace("max_iter: 10", "max_epoch: 2") + "test_interval: 5"
    train, test = "include { phase: TRAIN }", "include { phase: TEST }"
    path = write(tmp_path, text, data % train + spiral_data % test + ip + loss)
    job = plan_job(load_solver(path), path, looks=True)
    assert job.param.max_iter == 2 * 10_000 / 100 and job.test_iter == (15,)
    assert job.notes == ()  # nothing is said of sizes where one is assumed
    path = write(tmp_path, text, data % test + spiral_data % train + ip + loss)
    job = plan_job(load_solver(path), path, looks=True)
    assert job.param.max_iter == 30 and job.test_iter == (100,) and job.notes == ()
    with pytest.raises(CaffeliteError, match='"nowhere"'):
        plan_job(load_solver(path), path)


def test_tests_that_are_counted_by_the_file_are_not_counted_aloud(tmp_path: Path) -> None:
    for net in (spiral(), LINE):  # of known size, and of none
        assert load_job(write(tmp_path, GOOD + TESTS, net)).notes == ()


def test_an_error_of_one_kind_is_raised_as_that(tmp_path: Path) -> None:
    wrong = LINE.replace('bottom: "x"', 'bottom: "z"')
    with pytest.raises(NetError):
        load_job(write(tmp_path, GOOD, wrong))
    with pytest.raises(SolverError):
        load_job(write(tmp_path, GOOD + "momentum: 2", LINE))
    with pytest.raises(SolverError) as caught:
        load_job(write(tmp_path, GOOD + "momentum: 2", wrong))
    assert len(caught.value.problems) == 2
    assert (
        caught.value.problems[0].message == 'layer "ip" reads "z", which no layer before it makes'
    )


def test_a_mistake_in_a_net_that_two_phases_read_is_said_once(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD + TESTS, spiral().replace('"ReLU"', '"Relu"'))
    with pytest.raises(NetError) as caught:
        load_job(path)
    assert len(caught.value.problems) == 1


def test_stand_in_data_are_of_the_nets_that_have_them(tmp_path: Path) -> None:
    net = (
        LINE.replace('top: "x" top: "t"', 'top: "x" top: "t" include { phase: TRAIN }')
        + 'layer { name: "other" type: "Input" top: "o" include { phase: TEST } '
        "input_param { shape { dim: 1 } } }\n"
    )
    net = net.replace('name: "ip"', 'include { phase: TRAIN } name: "ip"')
    net = net.replace('name: "loss"', 'include { phase: TRAIN } name: "loss"')
    path = write(tmp_path, GOOD + TESTS, net)
    job = load_job(path, data_shapes={"x": (6, 3), "t": (6, 1), "o": (5,)})
    shapes = [
        {name: net.plan.shapes[v] for name, v in net.plan.graph.blobs.items()}
        for net in (job.train, job.tests[0])
    ]
    assert (shapes[0]["x"], shapes[0]["t"], shapes[1]["o"]) == ((6, 3), (6, 1), (5,))


@pytest.mark.parametrize(
    ("text", "message", "expected"),
    [
        (
            "test_interval: 5 test_iter: 1 test_iter: 2 test_net: %s test_net: %s test_net: %s",
            "2 test_iter for 3 test nets",
            "one test_iter for each test net",
        ),
        (
            "test_interval: 5 test_iter: 1 test_state { } test_state { }",
            "2 test_state for 1 test nets",
            "one test_state for each test net, or none",
        ),
        ("test_net: %s", "no test_interval", "how many iterations to train between tests"),
        ("train_net: %s", "two nets: net and train_net", "one net to train"),
    ],
)
def test_the_nets_of_a_solver_must_fit_together(
    tmp_path: Path, text: str, message: str, expected: str
) -> None:
    path = write(tmp_path, GOOD + text.replace("%s", '"n.net"'), LINE)
    with pytest.raises(SolverError) as caught:
        load_job(path)
    (problem,) = caught.value.problems
    assert message in problem.message and expected in str(problem.expected)
    assert problem.span and problem.span.line == 3


def test_a_solver_without_a_net_is_told_how_to_name_one() -> None:
    param = SolverParameter(base_lr=0.1, lr_policy="fixed", snapshot_after_train=False)
    with pytest.raises(SolverError) as caught:
        plan_job(param)
    (problem,) = caught.value.problems
    assert problem.message == "the solver names no net"
    assert problem.hint == "it may be named by net, net_param, train_net, train_net_param"


def test_the_net_itself_is_tested_for_each_test_iter_that_is_left(tmp_path: Path) -> None:
    more = 'test_iter: 1 test_iter: 2 test_iter: 3 test_interval: 5 test_net: "m.net"'
    path = write(tmp_path, GOOD + more, LINE)
    (tmp_path / "m.net").write_text('name: "other" ' + LINE)
    job = load_job(path)
    assert [test.param.name for test in job.tests] == ["other", "", ""]
    assert job.tests[1].param is job.train.param  # read once
    param = load_solver(path)
    param.net, param.test_net = None, []  # type: ignore[assignment]
    param.net_param = load_net(str(tmp_path / "n.net"))
    assert len(plan_job(param, path).tests) == 3


def test_a_mistake_of_the_text_is_said_with_those_of_the_job_and_once(tmp_path: Path) -> None:
    with pytest.raises(SolverError) as caught:
        load_job(write(tmp_path, GOOD.replace("lr_policy", "lr_polcy"), LINE))
    assert [p.message for p in caught.value.problems] == ['SolverParameter has no field "lr_polcy"']
    with pytest.raises(SchemaError):
        load_job(write(tmp_path, GOOD + 'max_iter: "x"', LINE))
    wrong = LINE.replace('bottom: "x"', 'bottom: "z"')
    with pytest.raises(SolverError) as found:
        load_job(write(tmp_path, GOOD + 'max_iter: "x"', wrong))
    assert len(found.value.problems) == 2


def test_an_unknown_rule_has_no_class() -> None:
    with pytest.raises(SolverError, match='did you mean "SGD"'):
        solver_class(SolverParameter(type="Sgd"))
    assert solver_class(SolverParameter(type="Nesterov")) is NesterovSolver
