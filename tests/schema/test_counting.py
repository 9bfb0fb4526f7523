"""Messages of more fields than are allowed are refused before they are read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from caffelite import reading
from caffelite.errors import SnapshotError
from caffelite.schema.binary import array_of, blob_proto, decode, encode
from caffelite.schema.common import BlobProto, BlobShape
from caffelite.schema.counting import check_fields
from caffelite.schema.message import Message
from caffelite.schema.net import LayerParameter, NetParameter
from caffelite.schema.solver import SolverState


@pytest.fixture(autouse=True)
def limits() -> Iterator[None]:
    before = dict(reading._given)
    reading.set_limits(fields=1000)
    yield
    reading._given.clear()
    reading._given.update(before)


def unpacked(values: np.ndarray) -> bytes:
    return b"".join(b"\x2d" + value.tobytes() for value in values.astype("<f4"))


@pytest.mark.parametrize(
    "cls, data",
    [
        (NetParameter, b"\xa2\6\0" * 1001),
        (NetParameter, b"\x12\0" * 1001),
        (NetParameter, b"\x78\1" * 1001),
        (NetParameter, encode(NetParameter(layer=[LayerParameter(bottom=["x"] * 1001)]))),
        (BlobProto, b"\x3a\xe9\7" + b"\x08\1" * 500 + b"\x78\1" * 600),
        (BlobProto, encode(BlobProto(shape=BlobShape(dim=[1] * 2001)))),
        (SolverState, b"\x1a\0" * 1001),
    ],
)
def test_too_many_fields_are_refused(cls: type[Message], data: bytes) -> None:
    with pytest.raises(SnapshotError, match="at most 1,000") as caught:
        decode(data, cls, "some file")
    assert "some file" in str(caught.value) and "CAFFELITE_LIMITS=fields=" in str(caught.value)
    reading.set_limits(fields=3000)
    check_fields(data, cls, "some file")


@pytest.mark.parametrize("packed", [True, False])
def test_floats_are_not_counted(packed: bool) -> None:
    values = np.arange(5000, dtype=np.float32)
    data = encode(blob_proto(values)) if packed else unpacked(values)
    if not packed:
        data = encode(BlobProto(shape=BlobShape(dim=[5000]))) + data
    assert np.array_equal(array_of(decode(data, BlobProto)), values)
    mixed = unpacked(values) + b"\x08\1" * 10 + unpacked(values) + b"\x08\1" * 995
    with pytest.raises(SnapshotError, match="1,001 fields"):
        check_fields(mixed, BlobProto, "x")


def test_broken_bytes_are_left_to_the_reader() -> None:
    for data in (b"\xff" * 4000, b"\x0f" * 4000, b"\x0a\xff\xff\xff\xff\x0f" + b"x" * 4000):
        check_fields(data, NetParameter, "x")
        with pytest.raises(SnapshotError, match="not"):
            decode(data, NetParameter)


def test_a_blob_of_too_many_axes_is_refused() -> None:
    with pytest.raises(SnapshotError, match="300 axes; there are at most 32"):
        array_of(BlobProto(shape=BlobShape(dim=[1] * 300), data=[1.0]))


def test_a_large_file_is_refused_unread(tmp_path: Path) -> None:
    from caffelite.schema.binary import read_bytes

    with open(tmp_path / "x", "wb") as file:
        file.truncate(3 << 30)
    with pytest.raises(SnapshotError, match="over 2 GB"):
        read_bytes(tmp_path / "x")
