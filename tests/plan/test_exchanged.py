"""Samples and labels of a source in each other's place, and scores and labels of a loss."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from caffelite import TEST, Net
from caffelite.errors import CaffeliteError

TEXT = """
layer { name: "d" type: "NumpyData" top: "data" top: "label"
  numpy_data_param { source: "a.npz" batch_size: 2 } }
layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip"
  inner_product_param { num_output: 3 } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }
"""
ASKED = "are samples and labels exchanged?"


def refused(folder: Path, text: str) -> str:
    (folder / "f.net").write_text(text)
    with pytest.raises(CaffeliteError) as caught:
        Net(str(folder / "f.net"), TEST)
    return str(caught.value)


@pytest.mark.parametrize("shape", [(4, 1, 5, 5), (4, 5, 5)])
def test_arrays_of_each_other_s_name(tmp_path: Path, shape: tuple[int, ...]) -> None:
    np.savez(tmp_path / "a.npz", label=np.zeros(shape), data=np.zeros(4))
    text = refused(tmp_path, TEXT)
    assert '"data" of layer "d" holds one number a sample, and "label" holds more' in text
    assert text.endswith(ASKED)


def test_tops_that_are_right_are_not_doubted(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", data=np.zeros((4, 1, 5, 5)), label=np.zeros(4))
    (tmp_path / "f.net").write_text(TEXT)
    assert Net(str(tmp_path / "f.net"), TEST).blobs["ip"].data.shape == (2, 3)
    wrong = TEXT.replace("num_output: 3", "num_output: 3 axis: 7")
    assert ASKED not in refused(tmp_path, wrong)
    for data, label in (((4, 6), (4,)), ((4, 6), (4, 1, 5, 5)), ((4,), (4, 6))):
        np.savez(tmp_path / "a.npz", data=np.zeros(data), label=np.zeros(label))
        assert ASKED not in refused(tmp_path, wrong)
    np.savez(tmp_path / "a.npz", data=np.zeros((4, 1, 5, 5)), label=np.zeros(4))
    assert ASKED not in refused(
        tmp_path,
        TEXT.replace('} }\nlayer { name: "l', '} }\nlayer { softmax_param { axis: 7 } name: "l'),
    )


@pytest.mark.parametrize("kind", ["SoftmaxWithLoss", "Accuracy", "InfogainLoss"])
def test_labels_before_the_scores(tmp_path: Path, kind: str) -> None:
    np.savez(
        tmp_path / "a.npz", data=np.zeros((4, 2, 3)), label=np.zeros(4), h=np.eye(3)[[0, 1, 2, 0]]
    )
    text = TEXT.replace('bottom: "ip" bottom: "label"', 'bottom: "label" bottom: "ip"')
    text = text.replace("SoftmaxWithLoss", kind)
    if kind == "InfogainLoss":
        text = text.replace('bottom: "ip" top', 'bottom: "ip" bottom: "h" top')
        text = text.replace('top: "label"', 'top: "label" top: "h"')
    said = refused(tmp_path, text)
    assert 'scores "label" are 2 (2), and labels "ip" are 2 x 3 (6)' in said
    assert 'expected the scores first, then the labels: bottom: "ip" bottom: "label"' in said
    assert said.endswith("they are exchanged")
