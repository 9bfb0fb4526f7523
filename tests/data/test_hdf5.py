"""HDF5Data and HDF5Output."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from caffelite import Net
from caffelite.errors import CaffeliteError
from caffelite.files import parse_net
from caffelite.schema.common import Phase

from .nets import assert_resumes, batches, layer_of, net_of

RNG = np.random.default_rng(5)
TEXT = 'type: "HDF5Data" hdf5_data_param { source: "list.txt" batch_size: 4 }'
SHUFFLED = TEXT.replace("batch_size", "shuffle: true batch_size")
ROWS = (3, 5, 4)


def write(path: Path, **arrays: np.ndarray) -> None:
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name] = array


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    """Three files; the label of a row is its number in all, the data is ten times that."""
    start = 0
    for i, rows in enumerate(ROWS):
        label = np.arange(start, start + rows)
        write(tmp_path / f"{i}.h5", label=label, data=np.repeat(10.0 * label[:, None], 2, 1))
        start += rows
    (tmp_path / "list.txt").write_text("0.h5\n1.h5\n\n2.h5\n")
    return tmp_path


def labels(net: Net, count: int) -> list[int]:
    found = batches(net, count)
    for batch in found:
        np.testing.assert_array_equal(batch["data"], np.repeat(10 * batch["label"][:, None], 2, 1))
    return [int(v) for batch in found for v in batch["label"]]


def test_rows_of_all_files_follow_one_another_and_begin_again(parts: Path) -> None:
    net = net_of(TEXT, parts)
    assert layer_of(net).epoch_size == 12
    assert labels(net, 5) == [i % 12 for i in range(20)]


def test_shuffle_changes_the_order_of_files_and_of_rows_within_each(parts: Path) -> None:
    net = net_of(SHUFFLED, parts)
    file = np.repeat([0, 1, 2], ROWS)
    orders = set()
    for _ in range(30):
        rows = labels(net, 3)
        assert sorted(rows) == list(range(12))
        orders.add(tuple(dict.fromkeys(file[rows].tolist())))
        assert np.count_nonzero(np.diff(file[rows])) == 2
    assert len(orders) == 6


@pytest.mark.parametrize("text", [TEXT, SHUFFLED])
def test_a_resumed_run_sees_the_same_rows(parts: Path, text: str) -> None:
    assert_resumes(text, parts)


def refused(text: str, folder: Path) -> str:
    with pytest.raises(CaffeliteError) as caught:
        batches(net_of(text, folder), 4)
    return str(caught.value)


def test_a_missing_file_is_named_with_the_line_of_the_list(parts: Path) -> None:
    (parts / "1.h5").unlink()
    text = refused(TEXT, parts)
    assert '"1.h5"' in text and "list.txt:2:1" in text


def test_a_missing_data_set_is_named(parts: Path) -> None:
    write(parts / "1.h5", data=np.zeros((2, 2)), lable=np.zeros(2))
    text = refused(TEXT, parts)
    assert "1.h5" in text and '"label"' in text and '"lable"' in text


def test_other_shapes_in_a_later_file_are_refused(parts: Path) -> None:
    write(parts / "1.h5", data=np.zeros((2, 3)), label=np.zeros(2))
    text = refused(TEXT, parts)
    assert "1.h5" in text and "(3,)" in text and "(2,)" in text
    write(parts / "1.h5", data=np.zeros((2, 2)), label=np.zeros(3))
    assert "3 rows" in refused(TEXT, parts)


def test_files_that_are_not_hdf5_and_empty_lists_are_refused(parts: Path) -> None:
    (parts / "2.h5").write_text("nothing")
    assert "2.h5" in refused(TEXT, parts)
    (parts / "list.txt").write_text("\n")
    assert "is empty" in refused(TEXT, parts)


def test_a_truncated_file_is_refused(parts: Path) -> None:
    data = (parts / "1.h5").read_bytes()
    (parts / "1.h5").write_bytes(data[: len(data) // 2])
    assert "1.h5" in refused(TEXT, parts)


def test_transform_param_is_refused_as_in_caffe(parts: Path) -> None:
    assert "transform" in refused(TEXT + " transform_param { scale: 2 }", parts)


OUTPUT = (
    'layer { name: "in" type: "Input" top: "x" top: "y" input_param { shape { dim: 2 dim: 3 }'
    ' shape { dim: 2 } } } layer { name: "o" type: "HDF5Output" bottom: "x" bottom: "y"'
    ' hdf5_output_param { file_name: "FILE" } }'
)


def test_what_is_written_has_four_axes_and_grows_with_each_pass(tmp_path: Path) -> None:
    path = tmp_path / "out.h5"
    path.write_text("was here before")
    net = Net(parse_net(OUTPUT.replace("FILE", str(path))), phase=Phase.TEST)
    assert path.read_text() == "was here before", "building a net writes nothing"
    x = RNG.normal(size=(4, 3)).astype(np.float32)
    net.forward(x=x[:2], y=[0, 1])
    net.forward(x=x[2:], y=[2, 3])
    with h5py.File(path) as file:
        np.testing.assert_array_equal(file["data"], x.reshape(4, 3, 1, 1))
        np.testing.assert_array_equal(file["label"], np.arange(4).reshape(4, 1, 1, 1))
    (tmp_path / "list.txt").write_text("out.h5")
    (found,) = batches(net_of(TEXT, tmp_path), 1)
    np.testing.assert_array_equal(found["data"][..., 0, 0], x)


def test_data_and_labels_of_other_counts_are_refused(tmp_path: Path) -> None:
    text = OUTPUT.replace("FILE", str(tmp_path / "out.h5")).replace("{ dim: 2 } }", "{ dim: 3 } }")
    with pytest.raises(CaffeliteError, match="expected as many rows in each"):
        Net(parse_net(text), phase=Phase.TEST)


def test_a_file_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CaffeliteError, match="no folder"):
        Net(parse_net(OUTPUT.replace("FILE", str(tmp_path / "no" / "o.h5"))), phase=Phase.TEST)
