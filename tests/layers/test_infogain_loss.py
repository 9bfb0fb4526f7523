"""InfogainLoss: the matrix H from a file."""

import math
from pathlib import Path

import numpy as np
import pytest

from caffelite.errors import CaffeliteError, NetError
from caffelite.layers.cases import Case
from caffelite.schema.binary import write_blob
from caffelite.testing import Bench

INPUTS = {"x": [[0.0, math.log(3.0)], [1.0, 1.0]], "label": [1, 0]}


def test_h_is_read_from_a_file_beside_the_net(tmp_path: Path) -> None:
    write_blob(tmp_path / "H.binaryproto", np.array([[1.0, 0.5], [0.0, 2.0]], np.float32))
    case = Case('type: "InfogainLoss" infogain_loss_param { source: "H.binaryproto" }', INPUTS)
    bench = Bench(case, folder=str(tmp_path))
    bench.forward()
    np.testing.assert_allclose(bench.top[0], (2 * math.log(4 / 3) + 1.5 * math.log(2)) / 2)


def test_a_missing_file_is_refused() -> None:
    with pytest.raises(CaffeliteError, match=r'no matrix file "H\.binaryproto"'):
        Bench(Case('type: "InfogainLoss" infogain_loss_param { source: "H.binaryproto" }', INPUTS))


def test_h_must_come_from_somewhere() -> None:
    with pytest.raises(NetError, match="the matrix H is missing"):
        Bench(Case('type: "InfogainLoss"', INPUTS))


def test_h_must_fit_the_classes() -> None:
    with pytest.raises(NetError, match="there are 2 classes"):
        Bench(Case('type: "InfogainLoss"', {**INPUTS, "H": np.eye(3)}))


def test_the_old_normalize_is_refused() -> None:
    with pytest.raises(NetError, match="normalize is not for this layer"):
        Bench(
            Case('type: "InfogainLoss" loss_param { normalize: true }', {**INPUTS, "H": np.eye(2)})
        )
