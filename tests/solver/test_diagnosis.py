"""What is said when training goes wrong: where the first bad value is, and why."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from caffelite.errors import SolverError
from caffelite.schema.solver import SolverParameter
from caffelite.solver import Solver
from caffelite.solver.diagnosis import Evidence, diagnose, diagnose_gradient

from .made import LINE, Notes, make, spiral

HEAD = 'lr_policy: "fixed" max_iter: 400 snapshot_after_train: false random_seed: 1 '
LOG = """
layer { name: "in" type: "Input" top: "x" top: "t"
        input_param { shape { dim: 4 dim: 3 } shape { dim: 4 dim: 3 } } }
layer { name: "sc" type: "Scale" bottom: "x" top: "s" scale_param { filler { value: 1 } } }
layer { name: "log" type: "%s" bottom: "s" top: "l" %s }
layer { name: "loss" type: "EuclideanLoss" bottom: "l" bottom: "t" top: "loss" }
"""


def said(solver: Solver, count: int = 400) -> str:
    with np.errstate(all="ignore"), pytest.raises(SolverError) as caught:
        solver.step(count)
    return re.sub(r"\s+", " ", str(caught.value))


def fed(folder: Path, text: str, net: str = LINE) -> Solver:
    solver = make(folder, HEAD + text, net, monitor=Notes())
    rng = np.random.default_rng(0)
    for name in ("x", "t"):
        values = solver.net.blobs[name].data
        values[...] = rng.uniform(1, 2, values.shape)
    return solver


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_bad_data_is_named_with_its_sample(tmp_path: Path, value: float) -> None:
    solver = fed(tmp_path, "base_lr: 0.01")
    solver.step(2)
    solver.net.blobs["x"].data[5, 1] = value
    text = said(solver)
    assert 'the first bad blob is "x" of layer "in" (Input), in the forward pass' in text
    assert "the data holds values that are not finite" in text and "sample 5" in text


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("base_lr: 50", r"the learning rate \(50\) is too high; the norm of the gradient before: "),
        ("base_lr: -0.5", "the learning rate is negative, -0.5: every update climbs"),
        ("base_lr: 0.1 weight_decay: -900", "weight_decay is negative, -900: parameters grow"),
    ],
)
def test_what_runs_away_is_explained(tmp_path: Path, text: str, cause: str) -> None:
    assert re.search(cause, said(fed(tmp_path, text)))


def test_the_norms_are_those_of_the_iterations_before(tmp_path: Path) -> None:
    solver = fed(tmp_path, "base_lr: 50")
    text = said(solver)
    norms = [float(n) for n in re.findall(r"[\d.]+e\+\d+", text.split("before: ")[1])]
    assert len(norms) >= 4 and norms == sorted(norms)


def test_fillers_are_blamed_where_no_update_was(tmp_path: Path) -> None:
    solver = fed(tmp_path, "base_lr: 0.1")
    solver.net.params["ip"][0].data[...] = np.nan
    text = said(solver)
    assert 'parameter 0 of layer "ip"' in text and "no update has been made" in text


def test_a_log_of_0_is_counted(tmp_path: Path) -> None:
    solver = fed(tmp_path, "base_lr: 0.01", LOG % ("Log", ""))
    solver.net.blobs["x"].data[1, 1:] = 0
    text = said(solver)
    assert 'the first bad blob is "l" of layer "log" (Log), in the forward pass' in text
    assert "the logarithm of 0 2 times, of less than 0 0 times" in text


def test_a_backward_pass_is_named_and_the_parameters_stay(tmp_path: Path) -> None:
    solver = fed(tmp_path, "base_lr: 0.01", LOG % ("Power", "power_param { power: 0.5 }"))
    solver.net.blobs["x"].data[1, 1] = 0  # the root of 0 has no finite slope
    before = solver.net.arena.data.copy()
    text = said(solver)
    assert "the loss is finite, the gradient is not" in text
    assert 'the gradient of its bottom "s" of layer "log" (Power), in the backward pass' in text
    assert "it raises 0 to the power 0.5 1 times" in text
    assert np.array_equal(solver.net.arena.data, before)


def test_a_gradient_too_large_to_square_is_not_bad(tmp_path: Path) -> None:
    solver = fed(tmp_path, "base_lr: 0")
    solver.net.blobs["t"].data[...] = -1e18
    solver.net.blobs["x"].data[...] = 1e4
    with np.errstate(over="ignore"):
        solver.step(2)
    assert solver.iter == 2 and np.isfinite(solver.net.arena.data).all()


def spiral_solver(folder: Path, text: str) -> tuple[Solver, list[str]]:
    monitor = Notes()
    solver = make(folder, HEAD + "display: 1 " + text, spiral(), monitor=monitor)
    return solver, monitor.notes


def scores(solver: Solver, weight: Any) -> None:
    for blob in solver.net.params["ip2"]:
        blob.data[...] = 0
    solver.net.params["ip2"][1].data[...] = weight


def test_the_floor_under_a_probability_is_recognised_once(tmp_path: Path) -> None:
    solver, notes = spiral_solver(tmp_path, "base_lr: 0")
    scores(solver, [0, 200, 0])
    solver.step(3)
    (note,) = notes
    found = re.search(r'"loss" is ([\d.]+): (\d+) of (\d+) samples .* 87\.3365 ', note)
    assert found
    value, count, of = float(found[1]), int(found[2]), int(found[3])
    assert 0 < count < of and value == pytest.approx(87.3365 * count / of, rel=1e-4)
    assert "the learning rate (0) is too high, or the input is not scaled" in note


def test_a_loss_at_ln_classes_is_explained_once(tmp_path: Path) -> None:
    solver, notes = spiral_solver(tmp_path, "base_lr: 0")
    scores(solver, 0)
    solver.step(50)
    assert not notes
    solver.step(60)
    (note,) = notes
    assert '"loss" has stayed at 1.099 = ln 3 for 50 iterations' in note
    assert '"score" of layer "ip2" (InnerProduct) is 0 for every sample' in note


def test_a_run_that_learns_is_left_in_peace(tmp_path: Path) -> None:
    solver, notes = spiral_solver(tmp_path, "base_lr: 0.1")
    solver.step(150)
    assert not notes


def test_a_gradient_of_a_parameter_is_named(tmp_path: Path) -> None:
    solver = fed(tmp_path, "base_lr: 0.01")
    solver.step(1)
    solver.add_callback(lambda: None, lambda: solver.net.params["ip"][1].diff.fill(np.inf))
    text = said(solver)
    assert 'the gradient of parameter 1 of layer "ip" (InnerProduct), in the backward pass' in text
    assert "its backward pass is given finite values, from " in text and "a division by 0" in text


def test_parameters_that_are_not_learned_are_not_to_blame(tmp_path: Path) -> None:
    net = LINE.replace("lr_mult: 2", "lr_mult: 0")
    solver = fed(tmp_path, "base_lr: 0.01", net)
    evidence = Evidence(3, 0.01, solver.param)
    solver.net.forward_backward()
    solver.net.params["ip"][1].diff[...] = np.nan
    problem = diagnose_gradient(solver.net, evidence)
    assert problem.message == "iteration 3: the loss is finite, the gradient is not"
    assert problem.hint == evidence.of_update()


def test_a_loss_that_is_bad_by_itself_is_the_updates_fault(tmp_path: Path) -> None:
    solver = fed(tmp_path, "base_lr: 0.01")
    evidence = Evidence(3, 0.01, solver.param, [1.5, 2000])
    problem = diagnose(solver.net, float("nan"), evidence)
    assert problem.message == "iteration 3: the loss is nan"
    assert "is too high; the norm of the gradient before: 1.5, 2e+03" in str(problem.hint)


def test_a_rate_and_a_decay_of_0_are_not_negative() -> None:
    param = SolverParameter(weight_decay=0.0)
    assert "no update has been made" in Evidence(0, 0.0, param).of_update()
    assert "the learning rate (0) is too high" in Evidence(0, 0.0, param, [1.0]).of_update()


def made_bad(solver: Solver, x: float, weight: float) -> str:
    """What is said of "y" where the layer before it made a value that is not finite."""
    net = solver.net
    net.blobs["x"].data[...] = x
    net.params["ip"][0].data[...] = weight
    net.forward()
    net.blobs["y"].data[0] = np.nan
    return str(diagnose(net, 1.0, Evidence(3, 0.01, solver.param)).hint)


def test_what_a_layer_was_given_is_said(tmp_path: Path) -> None:
    solver = fed(tmp_path, "base_lr: 0.01")
    text = made_bad(solver, -7, 3)
    assert text.startswith("it is given finite values, from -7 to 7: a log of 0, a root of less")
    assert made_bad(solver, 5, 3).startswith("it is given finite values, from 0 to 5:")
    assert made_bad(solver, 1e15, 3).startswith("it is given finite values, from 0 to 1e+15")
    text = made_bad(solver, 1e16, 3)
    assert text.startswith("it is given values as large as 1e+16; no update has been made")
    assert made_bad(solver, 1, -2e15).startswith("it is given values as large as 2e+15; ")


def test_data_of_a_single_number_has_no_samples(tmp_path: Path) -> None:
    solver = fed(tmp_path, "base_lr: 0.01", LINE)
    net = solver.net
    net.blobs["x"].reshape()
    net.blobs["x"].data[...] = np.nan
    hint = str(diagnose(net, float("nan"), Evidence(0, 0.01, solver.param)).hint)
    assert hint == "the data holds values that are not finite: look into its source"
