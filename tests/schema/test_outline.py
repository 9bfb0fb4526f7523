"""Large messages are read by their outline: the same messages, without copies of their arrays."""

from __future__ import annotations

import io
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import caffelite.files  # noqa: F401  (brings the layers' messages)
from caffelite.errors import SnapshotError
from caffelite.schema import wire
from caffelite.schema.binary import (
    array_of,
    blob_proto,
    decode,
    decode_file,
    encode,
    stored_array_of,
)
from caffelite.schema.common import BlobProto
from caffelite.schema.datum import Datum
from caffelite.schema.message import Message
from caffelite.schema.net import LayerParameter, NetParameter
from caffelite.schema.outline import outline, outline_of
from caffelite.schema.solver import SolverParameter, SolverState
from caffelite.schema.stored import StoredArray

from .made import messages

REFERENCE = Path(__file__).parents[1] / "reference"
FILES = [
    *sorted((REFERENCE / "solvers").glob("*.caffemodel")),
    *sorted((REFERENCE / "models").glob("*.caffemodel")),
]
VALUES = np.arange(100_000, dtype=np.float32).reshape(4, 25_000)


@pytest.fixture
def always_outlined(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "LARGE", -1)


def whole(data: bytes, cls: type[Message], monkeypatch: pytest.MonkeyPatch) -> Message:
    with monkeypatch.context() as patch:
        patch.setattr(wire, "LARGE", len(data))
        return decode(data, cls)


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.name)
def test_caffes_files_read_alike(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = path.read_bytes()
    expected = whole(data, NetParameter, monkeypatch)
    outlined = outline_of(data, NetParameter)
    assert outlined is not None and len(outlined) < 20_000
    monkeypatch.setattr(wire, "LARGE", -1)
    assert decode(data, NetParameter) == expected
    with open(path, "rb") as file:
        net = decode_file(file, NetParameter, "x")
        for layer, other in zip(net.layer, expected.get("layer")):
            for a, b in zip(layer.blobs, other.blobs):
                assert isinstance(stored_array_of(a), StoredArray)
                assert np.array_equal(array_of(a), array_of(b))


@pytest.mark.usefixtures("always_outlined")
@pytest.mark.parametrize("cls", [NetParameter, SolverParameter, SolverState])
def test_every_message_comes_back(cls: type[Message]) -> None:
    @settings(max_examples=15, deadline=None, derandomize=True, database=None)
    @given(messages(cls, 3))
    def check(message: Message) -> None:
        data = encode(message)
        assert outline_of(data, cls) is not None
        if message._values:
            assert decode(data, cls) == message

    check()


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(st.binary(max_size=40), st.integers(0, 400), st.integers(0, 255))
def test_any_bytes_are_read_alike_or_refused_alike(start: bytes, at: int, byte: int) -> None:
    good = bytearray(encode(NET))
    good[at % len(good)] = byte
    for data in (start, bytes(good)):
        found: list[object] = []
        for large in (len(data), -1):
            wire.LARGE, before = large, wire.LARGE
            try:
                found.append(decode(data, NetParameter))
            except SnapshotError as error:
                found.append(str(error))
            finally:
                wire.LARGE = before
        assert found[0] == found[1]


NET = NetParameter(
    name="n",
    layer=[LayerParameter(name="a", blobs=[blob_proto(values) for values in VALUES[:, :9]])],
)


def test_a_view_of_the_bytes_is_no_copy() -> None:
    data = encode(NetParameter(layer=[LayerParameter(name="a", blobs=[blob_proto(VALUES)])]))
    tracemalloc.start()
    net = decode(data, NetParameter)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < VALUES.nbytes / 10
    assert np.array_equal(array_of(net.layer[0].blobs[0]), VALUES)


@pytest.mark.usefixtures("always_outlined")
def test_values_in_pieces_or_one_by_one_are_not_lost() -> None:
    pieces = [encode(BlobProto(data=VALUES[0, :n])) for n in (3, 0, 2)]
    assert decode(b"".join(pieces), BlobProto).data.tolist() == [0, 1, 2, 0, 1]
    file = io.BytesIO(b"".join(pieces))
    assert outline(file, len(file.getvalue()), BlobProto) is not None
    loose = b"\x2d\x00\x00\x80\x3f"  # field 5, four bytes: 1.0
    assert outline_of(pieces[0] + loose, BlobProto) is None
    assert decode(pieces[0] + loose, BlobProto).data.tolist() == [0, 1, 2, 1]


def test_what_takes_longer_by_its_outline_is_read_as_a_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    images = encode(Datum(float_data=VALUES[0].tolist()))  # 25,000 fields and no array
    assert outline_of(images, Datum) is None
    assert np.array_equal(decode(images, Datum).float_data, VALUES[0])
    many = encode(NetParameter(layer=[LayerParameter(name="x")] * 60))
    assert outline_of(many, NetParameter) is not None
    monkeypatch.setattr("caffelite.schema.outline._MOST_FIELDS", 100)
    assert outline_of(many, NetParameter) is None


@pytest.mark.usefixtures("always_outlined")
def test_half_a_value_is_refused() -> None:
    with pytest.raises(SnapshotError, match="holds 3 bytes, which is no whole number of floats"):
        decode(b"\x2a\x03abc", BlobProto)


# Arrays in files.


def stored(path: Path, values: np.ndarray = VALUES) -> StoredArray:
    path.write_bytes(b"head" + values.tobytes() + b"tail")
    return StoredArray(open(path, "rb"), 4, values.shape, values.dtype)


@pytest.mark.parametrize("of", [np.float32, np.float64])
@pytest.mark.parametrize("to", [np.float32, np.float64])
def test_is_read_into_any_array(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, of: type, to: type
) -> None:
    monkeypatch.setattr("caffelite.schema.stored._CHUNK", 3000)
    array = stored(tmp_path / "a", VALUES.astype(of))
    straight, turned = np.zeros(VALUES.shape, to), np.zeros(VALUES.shape[::-1], to).T
    for out in (straight, turned):
        array.read_into(out)
        assert np.array_equal(out, VALUES)
    assert np.array_equal(np.asarray(array.reshape((VALUES.size,))), VALUES.ravel())
    assert np.asarray(array, to).dtype == to
    array._file.close()


def test_a_scalar_and_nothing(tmp_path: Path) -> None:
    for shape in ((), (0, 3)):
        out = np.ones(shape, np.float32)
        array = stored(tmp_path / "a", np.zeros(shape, np.float32))
        array.read_into(out)
        assert not out.any()
        array._file.close()


def test_a_file_that_became_shorter_is_said(tmp_path: Path) -> None:
    array = stored(tmp_path / "a")
    (tmp_path / "a").write_bytes(b"head")
    with pytest.raises(SnapshotError, match="a: it has become shorter"):
        array.read_into(np.zeros(VALUES.shape, np.float32))
    array._file.close()
