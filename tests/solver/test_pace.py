"""Epochs: how often the data of the training net has been used."""

from __future__ import annotations

from pathlib import Path

import pytest

from caffelite.solver.facts import Pace, data_of

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
