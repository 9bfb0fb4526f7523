"""What looks like something doubtful, and is not: forms of published nets that pass without a
word."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from caffelite.judge.check import check_file

DATA = """
layer { name: "d" type: "DummyData" top: "x" top: "label"
  dummy_data_param { shape { dim: 4 dim: 3 dim: 8 dim: 8 } shape { dim: 4 } } }
"""
CONV = """
layer { name: "%s" type: "Convolution" bottom: "%s" top: "%s"
  convolution_param { num_output: 3 kernel_size: 1 %s } }
"""
LOSS = """
layer { name: "ip" type: "InnerProduct" bottom: "h" top: "ip"
  inner_product_param { num_output: 2 %s } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }
"""
XAVIER = 'weight_filler { type: "xavier" }'


def names(folder: Path, text: str, solver: bool = False) -> list[str]:
    (folder / "f.net").write_text(text)
    (folder / "s.solver").write_text(
        f'net: "{folder}/f.net" base_lr: 0.1 lr_policy: "fixed" max_iter: 9 '
        "snapshot_after_train: false"
    )
    report = check_file(str(folder / ("s.solver" if solver else "f.net")), data=False)
    assert not report.mistakes, report.mistakes
    return [doubt.name for doubt in report.warnings]


@pytest.mark.parametrize("scaled", ["", "batch_norm_param { scale_bias: true }"])
def test_a_batch_norm_that_scales_by_itself_needs_no_scale(tmp_path: Path, scaled: str) -> None:
    norm = f'layer {{ name: "n" type: "BatchNorm" bottom: "c" top: "n" {scaled} }}\n'
    relu = 'layer { name: "r" type: "ReLU" bottom: "n" top: "h" }\n'
    text = DATA + CONV % ("c", "x", "c", XAVIER) + norm + relu + LOSS % XAVIER
    assert names(tmp_path, text) == ([] if scaled else ["no-scale"])


def test_layers_without_parameters_may_share_a_name(tmp_path: Path) -> None:
    twice = (
        'layer { name: "r" type: "ReLU" bottom: "x" top: "y" }\n'
        'layer { name: "r" type: "%s" bottom: "y" top: "h" }\n'
    )
    assert names(tmp_path, DATA + twice % "TanH" + LOSS % XAVIER) == []
    assert names(tmp_path, DATA + twice % "PReLU" + LOSS % XAVIER) == ["same-name"]
    one, other = (twice % "PReLU").replace('"y"', '"h"').strip().split("\n")
    phases = (  # one of them in each phase: they share what is stored under the name
        one.replace("}", "include { phase: TRAIN } }"),
        other.replace('bottom: "h"', 'bottom: "x"').replace("}", "include { phase: TEST } }"),
    )
    assert names(tmp_path, DATA + "\n".join(phases) + LOSS % XAVIER) == []


def test_the_layer_that_stands_for_a_python_class_was_chosen_by_it(tmp_path: Path) -> None:
    text = """
    layer { name: "in" type: "Input" top: "score" top: "box" top: "info"
      input_param { shape { dim: 1 dim: 18 dim: 4 dim: 4 } shape { dim: 1 dim: 36 dim: 4 dim: 4 }
                    shape { dim: 1 dim: 3 } } }
    layer { name: "p" type: "Python" bottom: "score" bottom: "box" bottom: "info" top: "rois"
      python_param { module: "rpn.proposal_layer" layer: "ProposalLayer"
                     param_str: "'feat_stride': 16" } }
    """
    assert names(tmp_path, text) == []


def test_a_net_that_is_made_for_weights_of_a_file_is_doubted_once(tmp_path: Path) -> None:
    body = CONV % ("c", "x", "c", "") + CONV % ("e", "c", "e", "") + CONV % ("h", "e", "h", "")
    assert names(tmp_path, DATA + body + LOSS % "") == []
    assert names(tmp_path, DATA + body + LOSS % "", solver=True) == ["zero-weights"]
    assert names(tmp_path, DATA + body + LOSS % XAVIER, solver=True) == []


@pytest.mark.parametrize("kind", ["HDF5Data", "NumpyData"])
def test_targets_of_any_shape_may_be_in_data_that_are_not_here(tmp_path: Path, kind: str) -> None:
    message = "hdf5_data_param" if kind == "HDF5Data" else "numpy_data_param"
    text = f"""
    layer {{ name: "d" type: "{kind}" top: "h" top: "label"
      {message} {{ source: "nowhere" batch_size: 4 }} }}
    layer {{ name: "ip" type: "InnerProduct" bottom: "h" top: "ip"
      inner_product_param {{ num_output: 2 {XAVIER} }} }}
    layer {{ name: "l" type: "EuclideanLoss" bottom: "ip" bottom: "label" top: "l" }}
    """
    assert names(tmp_path, text) == []
    (tmp_path / "f.net").write_text(text.replace('bottom: "ip" bottom', 'bottom: "pi" bottom'))
    (mistake,) = check_file(str(tmp_path / "f.net"), data=False).mistakes
    assert 'reads "pi"' in mistake.message


def test_targets_that_are_here_must_fit(tmp_path: Path) -> None:
    text = """
    layer { name: "d" type: "NumpyData" top: "h" top: "label"
      numpy_data_param { source: "a.npz" batch_size: 4 } }
    layer { name: "ip" type: "InnerProduct" bottom: "h" top: "ip"
      inner_product_param { num_output: 2 } }
    layer { name: "l" type: "EuclideanLoss" bottom: "ip" bottom: "label" top: "l" }
    """
    np.savez(tmp_path / "a.npz", h=np.zeros((8, 3)), label=np.zeros((8, 5)))
    (tmp_path / "f.net").write_text(text)
    (mistake,) = check_file(str(tmp_path / "f.net")).mistakes
    assert 'layer "l" (EuclideanLoss)' in mistake.message
