"""Epochs: how often the data of the training net has been used; and the files of a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from caffelite.errors import SolverError, Source
from caffelite.files import parse_message
from caffelite.schema.solver import SolverParameter
from caffelite.solver.facts import Pace, data_of, written_files
from caffelite.solver.fields import check_numbers

from .made import Notes, make

HEAD = 'base_lr: 0.1 lr_policy: "fixed" max_iter: 4 snapshot_after_train: false random_seed: 1 '
INPUT = 'layer { name: "%s" type: "Input" top: "%s" input_param { shape { dim: %d dim: 2 } } }\n'
SPIRAL = """
layer { name: "s" type: "SpiralData" top: "p" top: "c"
        spiral_data_param { samples_per_class: 50 classes: 3 batch_size: 30 } }
layer { name: "quiet" type: "Silence" bottom: "p" bottom: "c" }
"""
REST = """
layer { name: "ip" type: "InnerProduct" bottom: "x" top: "y"
        inner_product_param { num_output: 2 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "EuclideanLoss" bottom: "y" bottom: "t" top: "loss" }
"""
INPUTS = INPUT % ("x", "x", 4) + INPUT % ("t", "t", 4)


def test_epochs_are_samples_by_the_size_of_the_data() -> None:
    assert Pace(20, 300).epoch(45) == 3
    assert Pace(20, 300).epoch(1) == pytest.approx(1 / 15)
    assert Pace(20, None).epoch(45) is None


def test_the_first_layer_of_known_size_counts(tmp_path: Path) -> None:
    solver = make(tmp_path, HEAD + "iter_size: 2", INPUTS + SPIRAL + REST, monitor=Notes())
    assert Pace.of(solver) == Pace(60, 150)


def test_without_one_the_first_batch_counts(tmp_path: Path) -> None:
    solver = make(tmp_path, HEAD + "iter_size: 3", INPUTS + REST, monitor=Notes())
    assert Pace.of(solver) == Pace(12, None)


def test_only_sources_are_data(tmp_path: Path) -> None:
    solver = make(tmp_path, HEAD, INPUTS + SPIRAL + REST, monitor=Notes())
    found = [(data.layer, data.size) for data in data_of(solver.net)]
    assert found == [("x", None), ("t", None), ("s", 150)]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("snapshot: 5", ["p_iter_*.caffemodel", "p_iter_*.solverstate"]),
        ("snapshot_after_train: true", ["p_iter_*.caffemodel", "p_iter_*.solverstate"]),
        (
            "snapshot: 5 snapshot_format: HDF5",
            ["p_iter_*.caffemodel.h5", "p_iter_*.solverstate.h5"],
        ),
        ("snapshot_after_train: false", []),
        ("snapshot_after_train: false keep_best: true", ["p_best.caffemodel"]),
    ],
)
def test_the_files_that_a_run_writes(text: str, names: list[str]) -> None:
    param = parse_message(Source("s.solver", f'snapshot_prefix: "p" {text}'), SolverParameter)
    assert [Path(file).name for file in written_files(param, "s.solver")] == names


def test_a_least_rate_may_be_the_base_rate() -> None:
    check_numbers(parse_message(Source("s.solver", "base_lr: 0.1 min_lr: 0.1"), SolverParameter))
    with pytest.raises(SolverError, match=r"min_lr cannot be 0\.2"):
        check_numbers(
            parse_message(Source("s.solver", "base_lr: 0.1 min_lr: 0.2"), SolverParameter)
        )


def test_a_net_without_data_uses_one_sample_an_iteration(tmp_path: Path) -> None:
    net = (
        'layer { name: "one" type: "Parameter" top: "w" parameter_param { shape { dim: 1 } } }'
        'layer { name: "loss" type: "Reduction" bottom: "w" top: "loss" loss_weight: 1 }'
    )
    solver = make(tmp_path, HEAD + "iter_size: 3", net, monitor=Notes())
    assert Pace.of(solver) == Pace(1, None)


def test_a_number_by_itself_is_a_sample(tmp_path: Path) -> None:
    number = 'layer { name: "n" type: "Input" top: "n" input_param { shape { } } }\n'
    solver = make(tmp_path, HEAD, number + INPUTS + REST, monitor=Notes())
    assert data_of(solver.net)[0].batch == 1 and Pace.of(solver) == Pace(1, None)
