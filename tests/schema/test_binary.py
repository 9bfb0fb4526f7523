"""The wire format: files of Caffe are read, what is written can be read by others, nothing that is
not such a file is taken for one."""

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from hypothesis import given, settings
from hypothesis import strategies as st

import caffelite.files  # noqa: F401  (brings the layers' messages)
from caffelite.errors import SnapshotError
from caffelite.schema import wire
from caffelite.schema.binary import (
    array_of,
    blob_proto,
    decode,
    encode,
    read_blob,
    write_atomically,
    write_blob,
)
from caffelite.schema.common import BlobProto, BlobShape
from caffelite.schema.datum import Datum
from caffelite.schema.message import FieldSpec, Message, field, repeated
from caffelite.schema.net import LayerParameter, NetParameter, ParamSpec
from caffelite.schema.solver import SolverParameter, SolverState

from .made import declared, messages

REFERENCE = Path(__file__).parents[1] / "reference"
SOLVERS = REFERENCE / "solvers"


# Every declared message comes back as it was.


@pytest.mark.parametrize("cls", sorted(set(declared()), key=lambda c: c.__name__))
def test_every_message_comes_back(cls: type[Message]) -> None:
    @settings(max_examples=12, deadline=None, derandomize=True, database=None)
    @given(messages(cls, 2))
    def check(message: Message) -> None:
        if message._values:
            assert decode(encode(message), cls) == message

    check()


# Files of Caffe itself.


@pytest.mark.parametrize("path", sorted(SOLVERS.glob("*.caffemodel")), ids=lambda p: p.name)
def test_reads_and_rewrites_caffes_nets(path: Path) -> None:
    net = decode(path.read_bytes(), NetParameter)
    assert [layer.name for layer in net.layer if layer.has("blobs")]
    assert encode(net) == path.read_bytes()


@pytest.mark.parametrize("path", sorted(SOLVERS.glob("*.solverstate")), ids=lambda p: p.name)
def test_reads_and_rewrites_caffes_solver_states(path: Path) -> None:
    state = decode(path.read_bytes(), SolverState)
    assert state.iter == 10
    assert all(array_of(blob).dtype == np.float32 for blob in state.history)
    assert encode(state) == path.read_bytes()


def test_reads_caffes_mean() -> None:
    mean = read_blob(REFERENCE / "data" / "mean.binaryproto")
    assert mean.shape == (1, 1, 28, 28)
    assert 0 < mean.mean() < 255


# An independent reader and writer.


@pytest.fixture(scope="module")
def independent() -> dict[str, Any]:
    """BlobProto and a part of LayerParameter, described here once more."""
    file = descriptor_pb2.FileDescriptorProto(name="independent.proto", syntax="proto2")
    kinds = descriptor_pb2.FieldDescriptorProto
    many, one = kinds.LABEL_REPEATED, kinds.LABEL_OPTIONAL
    shape = file.message_type.add(name="Shape")
    blob = file.message_type.add(name="Blob")
    layer = file.message_type.add(name="Layer")
    dim = shape.field.add(name="dim", number=1, label=many, type=kinds.TYPE_INT64)
    dim.options.packed = True
    blob.field.add(name="shape", number=7, label=one, type=kinds.TYPE_MESSAGE, type_name="Shape")
    for name, number, kind in [
        ("data", 5, kinds.TYPE_FLOAT),
        ("diff", 6, kinds.TYPE_FLOAT),
        ("double_data", 8, kinds.TYPE_DOUBLE),
    ]:
        blob.field.add(name=name, number=number, label=many, type=kind).options.packed = True
    # As an old writer does it: each value with its own tag.
    loose = file.message_type.add(name="Loose")
    loose.field.add(name="data", number=5, label=many, type=kinds.TYPE_FLOAT)
    layer.field.add(name="name", number=1, label=one, type=kinds.TYPE_STRING)
    layer.field.add(name="loss_weight", number=5, label=many, type=kinds.TYPE_FLOAT)
    layer.field.add(name="phase", number=10, label=one, type=kinds.TYPE_INT32)
    layer.field.add(name="blobs", number=7, label=many, type=kinds.TYPE_MESSAGE, type_name="Blob")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(name))
        for name in ("Shape", "Blob", "Layer", "Loose")
    }


def test_others_read_what_is_written(independent: dict[str, Any]) -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3) / 10
    layer = LayerParameter(name="ip", loss_weight=[0.5, 1], blobs=[blob_proto(array, -array)])
    layer.blobs.append(blob_proto(array.astype(np.float64)))
    read = independent["Layer"].FromString(encode(layer))
    assert read.name == "ip"
    assert list(read.loss_weight) == [0.5, 1]
    assert list(read.blobs[0].shape.dim) == [2, 3]
    assert list(read.blobs[0].data) == array.ravel().tolist()
    assert list(read.blobs[0].diff) == (-array).ravel().tolist()
    assert list(read.blobs[1].double_data) == array.astype(np.float64).ravel().tolist()
    assert not read.HasField("phase")


def test_what_others_write_is_read(independent: dict[str, Any]) -> None:
    made = independent["Layer"](name="ip", loss_weight=[0.1], phase=1)
    made.blobs.add(data=[0.1, 0.2, 0.3]).shape.dim.extend([3, 1])
    layer = decode(made.SerializeToString(), LayerParameter)
    assert layer.loss_weight == [0.1]
    assert layer.phase.name == "TEST"
    assert np.array_equal(array_of(layer.blobs[0]), np.float32([[0.1], [0.2], [0.3]]))


def test_floats_that_are_not_packed_or_in_pieces_are_not_lost(independent: dict[str, Any]) -> None:
    loose = independent["Loose"](data=[1, 2]).SerializeToString()
    assert decode(loose, BlobProto).data.tolist() == [1, 2]
    pieces = [independent["Blob"](data=d).SerializeToString() for d in ([3, 4], [5])]
    assert decode(b"".join(pieces), BlobProto).data.tolist() == [3, 4, 5]
    mixed = pieces[1] + loose + pieces[0]
    assert decode(mixed, BlobProto).data.tolist() == [5, 1, 2, 3, 4]


# proto2's rules.


def test_presence_is_kept() -> None:
    assert encode(SolverParameter()) == b""
    zero = decode(encode(SolverParameter(max_iter=0)), SolverParameter)
    assert zero.has("max_iter")
    assert not zero.has("display")
    empty = decode(encode(LayerParameter(loss_param={})), LayerParameter)
    assert empty.has("loss_param")
    assert not empty.has("transform_param")


def test_single_floats_read_as_short_decimals() -> None:
    param = decode(encode(SolverParameter(base_lr=0.1, momentum=0.9)), SolverParameter)
    assert param.base_lr == 0.1
    assert str(param) == "base_lr: 0.1\nmomentum: 0.9\n"


def test_an_enum_number_that_is_unknown_reads_as_not_set() -> None:
    unknown = bytes([10 << 3, 7])  # LayerParameter.phase = 7
    layer = decode(encode(LayerParameter(name="x")) + unknown, LayerParameter)
    assert not layer.has("phase")


def test_unknown_fields_are_passed_over() -> None:
    class More(Message):
        name: str = field(1, "string")
        other: list[int] = repeated(900, "int32")

    assert decode(encode(More(name="x", other=[1, 2])), ParamSpec) == ParamSpec(name="x")


def test_a_name_that_is_not_utf8_does_not_stop_reading() -> None:
    layer = decode(b"\x0a\x03a\xb5b\x12\x04ReLU", LayerParameter)
    assert layer.type == "ReLU"
    assert layer.name == r"a\xb5b"


def test_fields_that_are_added_later_are_written_and_read() -> None:
    class Growing(Message):
        a: int = field(1, "int32")

    assert decode(encode(Growing(a=1)), Growing).a == 1
    Growing.add_field("b", FieldSpec(2, "string"))
    assert decode(encode(Growing(a=1, b="x")), Growing).b == "x"


def test_many_floats_of_a_datum() -> None:
    datum = Datum(channels=100, height=1, width=1, label=-3)
    datum.float_data = [i / 10 for i in range(100)]
    again = decode(encode(datum), Datum)
    assert again.label == -3
    assert np.array_equal(again.float_data, np.arange(100, dtype=np.float64).astype("f4") / 10)


# Blobs.


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(), (3,), (2, 0), (1, 2, 3, 4, 2)])
def test_blob_files(tmp_path: Path, shape: tuple[int, ...], dtype: type) -> None:
    array = np.asarray(np.arange(np.prod(shape)).reshape(shape) / 7, dtype)
    write_blob(tmp_path / "b.binaryproto", array)
    again = read_blob(tmp_path / "b.binaryproto")
    assert again.shape == shape
    if array.size:
        assert again.dtype == dtype
    assert np.array_equal(again, array)


def test_old_shape_and_wrong_counts() -> None:
    old = BlobProto(num=1, channels=2, height=1, width=3, data=np.arange(6.0))
    assert array_of(old).shape == (1, 2, 1, 3)
    with pytest.raises(SnapshotError, match=r"\(2, 2\) holds 6 values"):
        array_of(BlobProto(shape=BlobShape(dim=[2, 2]), data=np.arange(6.0)))
    with pytest.raises(SnapshotError, match="-1"):
        array_of(BlobProto(shape=BlobShape(dim=[-1, -6]), data=np.arange(6.0)))
    with pytest.raises(SnapshotError, match="no whole number"):
        decode(b"\x2a\x03abc", BlobProto)


def test_non_contiguous_arrays_are_stored_in_order() -> None:
    array = np.arange(12, dtype=np.float32).reshape(3, 4).T
    assert np.array_equal(array_of(decode(encode(blob_proto(array)), BlobProto)), array)


# What is no such file.


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"<!DOCTYPE html><html>", "web page"),
        (b"\n<html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:", "Git LFS"),
        (b'name: "LeNet"\nlayer {\n', "this is text"),
        (b"PK\x03\x04\x00\x00", "zip archive"),
        (b"\x80\x02}q\x00", "pickle"),
        (b"\x89HDF\r\n\x1a\n\x00\x00", "HDF5"),
        (b"\x08\x01", "no field"),
        (b"\x00\x01\x02", "begins no field"),
    ],
)
def test_other_files_are_recognised(data: bytes, said: str) -> None:
    with pytest.raises(SnapshotError, match=said) as caught:
        decode(data, NetParameter, "w.caffemodel")
    assert str(caught.value).startswith("w.caffemodel: ")


@pytest.mark.parametrize("cut", [1, 40, 400])
def test_cut_short_is_said(cut: int) -> None:
    data = (SOLVERS / "resume_sgd.iter10.caffemodel").read_bytes()
    with pytest.raises(SnapshotError, match=f"{len(data) - cut} bytes, at least"):
        decode(data[:-cut], NetParameter)


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(st.binary(max_size=40))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        decode(data, NetParameter)
    except SnapshotError as error:
        assert str(error)


def test_two_gigabytes_is_said_before_it_is_tried() -> None:
    huge = np.broadcast_to(np.float32(0), (2**29,))
    with pytest.raises(SnapshotError, match=r"over 2 GB(.|\n)*\.h5"):
        encode(BlobProto(data=huge))


def test_encoding_refuses_what_protobuf_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "MAX_BYTES", 10)
    with pytest.raises(SnapshotError, match="over 2 GB"):
        encode(LayerParameter(name="a name of more than ten bytes"))


# Writing.


def test_writing_replaces_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "w.caffemodel"
    write_atomically(path, b"old")
    write_atomically(path, [b"new", b"er"])
    assert path.read_bytes() == b"newer"
    assert os.listdir(tmp_path) == ["w.caffemodel"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_failed_write_leaves_what_was_there(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "w.caffemodel"
    path.write_bytes(b"old")

    def chunks() -> Iterator[bytes]:
        yield b"half"
        raise error

    expected = SnapshotError if isinstance(error, OSError) else type(error)
    with pytest.raises(expected):
        write_atomically(path, chunks())
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["w.caffemodel"]


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(SnapshotError, match="cannot be written: No such file"):
        write_atomically(tmp_path / "none" / "w.caffemodel", b"")


@pytest.mark.skipif(os.name != "posix", reason="links and access rights are POSIX's")
def test_links_and_access_rights_stay(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_bytes(b"old")
    target.chmod(0o640)
    link.symlink_to(target)
    write_atomically(link, struct.pack("<i", 7))
    assert link.is_symlink()
    assert target.read_bytes() == b"\x07\0\0\0"
    assert target.stat().st_mode & 0o777 == 0o640


def test_a_missing_file_is_said_with_its_neighbour(tmp_path: Path) -> None:
    write_blob(tmp_path / "mean.binaryproto", np.zeros(1))
    with pytest.raises(SnapshotError, match=r'no such file; did you mean "mean.binaryproto"'):
        read_blob(tmp_path / "maen.binaryproto")
