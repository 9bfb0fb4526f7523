"""Parameters in files: what is read, written, and copied into which layer."""

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import caffelite.files  # noqa: F401  (brings the layers' messages)
from caffelite.blob import Blob
from caffelite.errors import SnapshotError
from caffelite.schema.binary import blob_proto, decode, encode
from caffelite.schema.common import BlobProto
from caffelite.schema.legacy_messages import V0LayerParameter, V1LayerParameter
from caffelite.schema.message import Message, field, repeated
from caffelite.schema.net import LayerParameter, NetParameter
from caffelite.weights import (
    copy_weights,
    open_weights,
    read_weights,
    same_shape,
    write_weights,
)

REFERENCE = Path(__file__).parent / "reference"
SOLVERS = REFERENCE / "solvers"


def values(*shape: int, start: float = 1) -> np.ndarray:
    return (np.arange(np.prod(shape)) + start).astype(np.float32).reshape(shape)


def blobs(*shapes: tuple[int, ...], dtype: Any = np.float32) -> list[Blob]:
    return [Blob(np.full(shape, -1, dtype)) for shape in shapes]


def refusal(source: Any, target: Any, **options: Any) -> str:
    before = {name: [b.data.copy() for b in bs] for name, bs in target.items()}
    with pytest.raises(SnapshotError) as caught:
        copy_weights(source, target, path="w.caffemodel", **options)
    for name, bs in target.items():
        assert all(np.array_equal(a, b.data) for a, b in zip(before[name], bs))
    return str(caught.value)


# Reading.


@pytest.mark.parametrize("case", ["resume_sgd", "resume_adam"])
def test_reads_caffes_binary_snapshot(case: str) -> None:
    stored = read_weights(SOLVERS / f"{case}.iter10.caffemodel")
    reference = np.load(SOLVERS / f"{case}.npz")
    for name, arrays in stored.items():
        for i, array in enumerate(arrays):
            np.testing.assert_array_equal(array, reference[f"iter/10/{name}/{i}"])
    assert set(stored) == {k.split("/")[1] for k in reference if k.startswith("start/")}


def test_reads_caffes_hdf5_snapshot() -> None:
    stored = read_weights(SOLVERS / "resume_sgd_hdf5.iter10.caffemodel.h5")
    reference = np.load(SOLVERS / "resume_sgd_hdf5.npz")
    assert list(stored) == ["ip"]
    for i, array in enumerate(stored["ip"]):
        np.testing.assert_array_equal(array, reference[f"iter/10/ip/{i}"])


def test_reads_v1_and_v0_files(tmp_path: Path) -> None:
    bias = BlobProto(num=1, channels=1, height=1, width=3, data=values(3))
    v1 = V1LayerParameter(name="new", blobs=[blob_proto(values(3, 2)), bias])
    v0 = V1LayerParameter(layer=V0LayerParameter(name="old", blobs=[bias]))
    path = tmp_path / "old.caffemodel"
    path.write_bytes(encode(NetParameter(layers=[v1, v0, V1LayerParameter(name="relu")])))
    stored = read_weights(path)
    assert {n: [a.shape for a in arrays] for n, arrays in stored.items()} == {
        "new": [(3, 2), (1, 1, 1, 3)],
        "old": [(1, 1, 1, 3)],
    }


def test_a_forks_own_use_of_numbers_does_no_harm(tmp_path: Path) -> None:
    class ForkLayer(Message):
        name: str = field(1, "string")
        blobs: list[BlobProto] = repeated(7, BlobProto)
        convolution_param: str = field(106, "string")
        phase: str = field(10, "string")

    class ForkNet(Message):
        layer: list[ForkLayer] = repeated(100, ForkLayer)
        state: str = field(6, "string")

    layer = ForkLayer(name="ip", blobs=[blob_proto(values(2))], convolution_param="?", phase="?")
    path = tmp_path / "fork.caffemodel"
    path.write_bytes(encode(ForkNet(layer=[layer], state="?")))
    assert np.array_equal(read_weights(path)["ip"][0], values(2))


def test_of_a_name_that_comes_twice_the_last_counts(tmp_path: Path) -> None:
    layers = [LayerParameter(name="ip", blobs=[blob_proto(values(2, start=n))]) for n in (1, 5)]
    path = tmp_path / "w.caffemodel"
    path.write_bytes(encode(NetParameter(layer=[*layers, LayerParameter(name="ip")])))
    assert read_weights(path)["ip"][0].tolist() == [5, 6]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"<!DOCTYPE html><html><body>404", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
        (b'name: "LeNet"\nlayer { name: "x" }', "this is text"),
        (b"", "empty"),
        (b"PK\x03\x04" + bytes(50), "zip archive"),
        ((SOLVERS / "resume_sgd.iter10.caffemodel").read_bytes()[:-9], "cut short"),
        ((SOLVERS / "resume_sgd.iter10.solverstate").read_bytes(), r"solver's state(.|\n)*\.caff"),
        ((SOLVERS / "resume_sgd_hdf5.iter10.solverstate.h5").read_bytes(), "solver's state"),
        ((REFERENCE / "data" / "part0.h5").read_bytes(), "/data"),
        ((REFERENCE / "data" / "mean.binaryproto").read_bytes(), "no field"),
        (encode(NetParameter(name="x", layer=[LayerParameter(name="a")])), "no parameters"),
    ],
)
def test_other_files_are_said_for_what_they_are(tmp_path: Path, data: bytes, said: str) -> None:
    path = tmp_path / "w.caffemodel"
    path.write_bytes(data)
    with pytest.raises(SnapshotError, match=said) as caught:
        read_weights(path)
    assert str(caught.value).startswith(str(path))


def test_a_damaged_blob_is_named(tmp_path: Path) -> None:
    bad = BlobProto(shape={"dim": [3]}, data=values(2))
    path = tmp_path / "w.caffemodel"
    path.write_bytes(encode(NetParameter(layer=[LayerParameter(name="ip", blobs=[bad])])))
    with pytest.raises(SnapshotError, match=r'layer "ip": .*holds 2 values'):
        read_weights(path)


def test_hdf5_without_h5py_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(SnapshotError, match=r'pip install "caffelite\[data\]"'):
        read_weights(SOLVERS / "resume_sgd_hdf5.iter10.caffemodel.h5")


# Writing.

NET = NetParameter(
    name="n",
    layer=[
        LayerParameter(name="x", type="Input", top=["x"]),
        LayerParameter(name="block/ip", type="InnerProduct", bottom=["x"], top=["y"]),
    ],
)


@pytest.mark.parametrize("ending", [".caffemodel", ".caffemodel.h5"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_is_written_is_read(tmp_path: Path, ending: str, dtype: type) -> None:
    path = tmp_path / f"w{ending}"
    arrays = [values(2, 3).astype(dtype), values(2).astype(dtype)]
    write_weights(path, NET, {"block/ip": arrays}, {"block/ip": [-a for a in arrays]})
    stored = read_weights(path)
    assert list(stored) == ["block/ip"]
    for mine, theirs in zip(arrays, stored["block/ip"]):
        assert theirs.dtype == dtype
        assert np.array_equal(mine, theirs)
    assert os.listdir(tmp_path) == [path.name]
    assert not NET.layer[1].has("blobs")


def test_a_caffemodel_keeps_the_definitions_and_diffs(tmp_path: Path) -> None:
    path = tmp_path / "w.caffemodel"
    write_weights(path, NET, {"block/ip": [values(2)]}, {"block/ip": [-values(2)]})
    net = decode(path.read_bytes(), NetParameter)
    assert net.layer[1].blobs[0].diff.tolist() == [-1, -2]
    for layer in net.layer:
        layer.blobs = None
    assert net == NET


def test_parameters_of_no_layer_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nowhere"):
        write_weights(tmp_path / "w.caffemodel", NET, {"nowhere": [values(1)]})


def test_a_failed_hdf5_write_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "w.h5"
    path.write_bytes(b"old")
    with pytest.raises(TypeError):
        write_weights(path, NET, {"block/ip": [np.array([object()])]})
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["w.h5"]


# Copying.


def test_copies_by_name_and_reports() -> None:
    target = {"a": blobs((2, 2), (2,)), "b": blobs((3,)), "new": blobs((1,)), "relu": []}
    source = {"a": [values(2, 2), values(2)], "b": [values(3)], "old": [values(9)]}
    report = copy_weights(source, target)
    assert (report.copied, report.missing, report.skipped) == (["a", "b"], ["new"], ["old"])
    assert np.array_equal(target["a"][0].data, values(2, 2))
    assert target["new"][0].data.tolist() == [-1]


def test_values_are_cast_to_the_nets_type() -> None:
    target = {"a": blobs((2,), dtype=np.float64)}
    copy_weights({"a": [values(2)]}, target)
    assert target["a"][0].data.dtype == np.float64
    assert target["a"][0].data.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("stored", "shape", "same"),
    [
        ((2, 3), (2, 3), True),
        ((1, 1, 1, 3), (3,), True),
        ((1, 1, 2, 3), (2, 3), True),
        ((1, 1, 1, 1), (), True),
        ((1,), (), True),
        ((3, 2), (2, 3), False),
        ((6,), (2, 3), False),
        ((3, 1, 1, 1), (3,), False),
        ((1, 1, 3), (3,), False),
        ((1, 2, 3, 4), (2, 3, 4), True),
        ((1, 1, 2, 3, 4), (2, 3, 4), False),
    ],
)
def test_which_shapes_are_the_same(
    stored: tuple[int, ...], shape: tuple[int, ...], same: bool
) -> None:
    assert same_shape(stored, shape) is same


def test_a_mismatch_is_an_error_that_names_both_shapes_and_copies_nothing() -> None:
    target = {"a": blobs((2,)), "fc": blobs((10, 4)), "bn": blobs((2,))}
    source = {"a": [values(2)], "fc": [values(20, 4)], "bn": [values(2), values(2)]}
    said = refusal(source, target)
    assert '"fc" does not fit the net: parameter 0 is (20, 4) in the file, (10, 4)' in said
    assert '"bn" does not fit the net: 2 parameters in the file, 1 in the net' in said
    assert "skip_mismatch" in said
    report = copy_weights(source, target, skip_mismatch=True)
    assert report.copied == ["a"]
    assert list(report.mismatched) == ["fc", "bn"]
    assert target["a"][0].data.tolist() == [1, 2]
    assert target["fc"][0].data.max() == -1


def test_nothing_copied_is_an_error_with_the_nearest_names() -> None:
    said = refusal({"fc_8": [values(2)], "conv1_1": [values(3)]}, {"fc8": blobs((2,))})
    assert 'is like "fc8" in the net' in said
    assert '"fc_8"' in said
    said = refusal({"a": [values(3)]}, {"a": blobs((2,))}, skip_mismatch=True)
    assert "nothing was copied" in said


def test_a_net_without_parameters_needs_none() -> None:
    assert copy_weights({"a": [values(3)]}, {}).skipped == ["a"]


def test_batch_norm_without_its_factor_gets_one() -> None:
    target = {"bn": blobs((3,), (3,), (1,))}
    copy_weights({"bn": [values(3), values(3, start=7)]}, target)
    assert [b.data.tolist() for b in target["bn"]] == [[1, 2, 3], [7, 8, 9], [1]]
    five = [values(3), values(3), values(1), values(3), values(3)]
    assert "NVIDIA" in refusal({"bn": five}, target)


def test_a_shared_parameter_may_be_stored_once() -> None:
    shared = np.full((2, 2), -1, np.float32)
    target = {"a": [Blob(shared), *blobs((2,))], "b": [Blob(shared), *blobs((2,))]}
    source = {"a": [values(2, 2), values(2)], "b": [None, values(2, start=5)]}
    assert copy_weights(source, target).copied == ["a", "b"]
    assert np.array_equal(target["b"][0].data, values(2, 2))
    assert target["b"][1].data.tolist() == [5, 6]
    alone = {"b": blobs((2, 2), (2,))}
    assert "1 parameters in the file, 2 in the net" in refusal(source, alone)
    assert "1 parameters in the file" in refusal({"a": [values(2, 2)]}, {"a": target["a"]})


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_file_that_ends_too_soon_changes_nothing(tmp_path: Path, dtype: type) -> None:
    """It is cut while it is open: the first parameter is there, the second is not."""
    path = tmp_path / "w.caffemodel"
    values = [np.ones(3000, np.float32), np.ones(3000, np.float32)]
    write_weights(path, NetParameter(layer=[LayerParameter(name="a")]), {"a": values})
    blobs = [Blob(np.zeros(3000, dtype)), Blob(np.zeros(3000, dtype))]
    with open_weights(path) as stored:
        os.truncate(path, 13_000)
        with pytest.raises(SnapshotError, match="shorter"):
            copy_weights(stored, {"a": blobs})
    assert not any(blob.data.any() for blob in blobs)
