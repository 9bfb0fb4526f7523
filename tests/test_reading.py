"""Bounds, special files and foreign errors; bombs of every kind."""

from __future__ import annotations

import gzip
import io
import os
import struct
import tracemalloc
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from caffelite import reading
from caffelite.data.hdf5 import describe
from caffelite.data.idx import read_header, read_idx
from caffelite.data.images import read_image
from caffelite.data.npy import read_arrays, read_shapes
from caffelite.data.table import open_table
from caffelite.errors import CaffeliteError, DataError, SnapshotError
from caffelite.paths import find_path
from caffelite.weights import read_weights


@pytest.fixture(autouse=True)
def usual_limits(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(reading, "_given", {})
    monkeypatch.delenv("CAFFELITE_LIMITS", raising=False)
    yield


def png(width: int, height: int) -> bytes:
    """A PNG of zeros, without its pixels in memory."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    pack = zlib.compressobj(9)
    row = bytes(1 + width * 3)
    packed = b"".join([*(pack.compress(row) for _ in range(height)), pack.flush()])
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")
    )


def npy_header(shape: str) -> bytes:
    text = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


def refused(read: Any, *args: Any, error: type[CaffeliteError] = DataError) -> str:
    """The refusal, which took little memory."""
    tracemalloc.start()
    try:
        with pytest.raises(error) as caught:
            read(*args)
        assert tracemalloc.get_traced_memory()[1] < 50 << 20
    finally:
        tracemalloc.stop()
    return str(caught.value)


def test_an_image_of_many_pixels_is_refused_and_may_be_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(png(20_000, 3_000))
    text = refused(read_image, str(path))
    assert "bomb.png" in text and "60,000,000 pixels" in text and "pixels=60000000" in text
    small = png(30, 20)
    reading.set_limits(pixels=599)
    assert "600 pixels" in refused(read_image, small)
    reading.set_limits(pixels=600)
    assert read_image(small).shape == (3, 20, 30)
    monkeypatch.setattr(reading, "_given", {})
    monkeypatch.setenv("CAFFELITE_LIMITS", "pixels=599")
    assert "at most 599" in refused(read_image, small)


@pytest.mark.parametrize("words", ["pixel=3", "pixels=x", "pixels=0", "pixels"])
def test_a_wrong_limit_is_named(words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAFFELITE_LIMITS", words)
    with pytest.raises(CaffeliteError, match="CAFFELITE_LIMITS"):
        reading.limit("pixels")
    with pytest.raises((TypeError, ValueError)):
        reading.set_limits(**{"pixels": 0} if "pixels" in words else {"pixel": 1})


def test_gzip_bombs_are_refused_before_they_are_unpacked(tmp_path: Path) -> None:
    path = str(tmp_path / "images.gz")
    head = struct.pack(">HBBIII", 0, 8, 3, 60_000, 28, 2800)
    Path(path).write_bytes(gzip.compress(head + bytes(1000)))
    for read in (read_header, read_idx):
        text = refused(read, path)
        assert path in text and "4,704,000,000 bytes" in text
    Path(path).write_bytes(gzip.compress(struct.pack(">HBBI", 0, 8, 1, 3) + bytes(30 << 20)))
    assert "too long" in refused(read_idx, path)


def test_idx_of_300_axes_does_not_pass(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(bytes([0, 0, 8, 255]) + struct.pack(">I", 1) * 255 + b"x")
    assert "255 axes" in refused(read_header, str(path))


@pytest.mark.parametrize(
    "shape", ["(10000000000,)", "(1,)*300", "(" + "1, " * 300 + ")", "(-1, 3)", "(" * 200, "(3,"]
)
def test_npy_headers_that_promise_too_much(shape: str, tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    path.write_bytes(npy_header(shape) + bytes(80))
    assert str(path) in refused(read_shapes, str(path))
    assert str(path) in refused(read_arrays, str(path), [""])


def test_a_compressed_npz_that_is_a_bomb(tmp_path: Path) -> None:
    path = str(tmp_path / "a.npz")
    np.savez_compressed(path, data=np.zeros((1 << 20, 8), np.uint8))
    reading.set_limits(unpacked=1 << 20)
    assert "8,388,608 bytes" in refused(read_shapes, path)
    reading.set_limits(unpacked=1 << 24)
    assert read_arrays(path, ["data"])[0].shape == (1 << 20, 8)


def test_hdf5_that_names_other_files_is_refused_unread(tmp_path: Path) -> None:
    secret, path = tmp_path / "secret.bin", str(tmp_path / "a.h5")
    secret.write_bytes(np.arange(10, dtype=np.float32).tobytes())
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["x"] = np.arange(10)
    with h5py.File(path, "w") as file:
        file.create_dataset("external", (10,), "f4", external=[(str(secret), 0, 40)])
        file["link"] = h5py.ExternalLink("other.h5", "x")
        file["own"] = np.arange(10)
        file["soft"] = h5py.SoftLink("/own")
        layout = h5py.VirtualLayout((10,), "f4")
        layout[:] = h5py.VirtualSource("other.h5", "x", (10,))
        file.create_virtual_dataset("virtual", layout)
        file.create_group("group")["0"] = h5py.ExternalLink("other.h5", "x")
    for name in ("external", "link", "soft", "virtual", "group/0"):
        text = refused(describe, path, [name])
        assert path in text and "in the file itself" in text, name
    assert describe(path, ["own"]).shapes == ((10,),)


@pytest.mark.parametrize("what", ["external", "link", "soft", "virtual", "index", "text", "cycle"])
def test_weights_that_lead_elsewhere_are_refused(what: str, tmp_path: Path) -> None:
    path, secret = str(tmp_path / "w.caffemodel.h5"), tmp_path / "s"
    secret.write_bytes(bytes(40))
    with h5py.File(path, "w") as file:
        group = file.create_group("data/ip")
        group["1"] = np.ones(3)
        if what == "external":
            group.create_dataset("0", (10,), "f4", external=[(str(secret), 0, 40)])
        elif what == "link":
            group["0"] = h5py.ExternalLink("other.h5", "x")
        elif what == "soft":
            group["0"] = h5py.SoftLink("1")
        elif what == "virtual":
            layout = h5py.VirtualLayout((10,), "f4")
            layout[:] = h5py.VirtualSource("other.h5", "x", (10,))
            group.create_virtual_dataset("0", layout)
        elif what == "index":
            group["1000000000"] = np.ones(3)
        elif what == "text":
            group["0"] = "words"
        else:
            group["again"] = file["data"]
    assert path in refused(read_weights, path, error=SnapshotError)


@pytest.mark.parametrize("kind", [np.complex64, "S5", [("a", "f4"), ("b", "i4")], "O"])
def test_hdf5_of_other_types_is_refused(kind: Any, tmp_path: Path) -> None:
    path = str(tmp_path / "a.h5")
    with h5py.File(path, "w") as file:
        dtype = h5py.string_dtype() if kind == "O" else kind
        file.create_dataset("x", (4,), dtype)
    assert "no plain numbers" in refused(describe, path, ["x"])


def test_hdf5_that_would_become_too_large_is_refused(tmp_path: Path) -> None:
    path = str(tmp_path / "a.h5")
    with h5py.File(path, "w") as file:
        file.create_dataset("sparse", (10**5, 10**5), "f4", chunks=(10, 10))
        file.create_dataset("chunk", (2,), "f8", chunks=(10**8,), maxshape=(None,))
        made = file.create_dataset("bomb", (100,), "u1", chunks=(100,), compression="gzip")
        made.id.write_direct_chunk((0,), zlib.compress(bytes(1 << 24)))
    for name in ("sparse", "chunk"):
        text = refused(describe, path, [name])
        assert "40,000,000,000 bytes" in text or "800,000,000 bytes" in text
    reading.set_limits(unpacked=1 << 20)
    bomb = describe(path, ["bomb"])
    assert "holds more than it should" in refused(bomb.load, np.dtype(np.float32))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are a thing of POSIX")
def test_pipes_devices_and_folders_are_no_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    readers = [read_header, read_shapes, read_image, lambda p: open_table(p, ",", None)]
    for path, word in [
        (tmp_path / "pipe", "a pipe"),
        ("/dev/zero", "a device"),
        (tmp_path, "folder"),
    ]:
        for read in readers:
            assert word in refused(read, str(path))
        assert word in refused(read_weights, path, error=SnapshotError)


def test_long_paths_are_only_missing() -> None:
    with pytest.raises(CaffeliteError, match="there is no file"):
        find_path("x" * 300, "folder")
    with pytest.raises(CaffeliteError, match="there is no file"):
        find_path("x/" * 3000, "folder")


@pytest.mark.parametrize("cell", ["nan", "inf", "1_000", "١٢", "1e999", "0x10", "", "9" * 400])
def test_a_table_holds_plain_finite_numbers(cell: str, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(f"1,2\n3,4\n{cell},5\n", encoding="utf-8")
    for label in (None, 0):
        with pytest.raises(DataError, match="not a number") as caught:
            open_table(str(path), ",", False).read(label, [])
        assert f"{path}:3:" in str(caught.value)


def test_a_table_of_too_many_columns(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("1,2,3\n")
    reading.set_limits(columns=2)
    assert "3 columns" in refused(open_table, str(path), ",", None)
    reading.set_limits(columns=3, text=5)
    assert "6 bytes" in refused(open_table, str(path), ",", None)


def test_foreign_errors_get_the_files_name() -> None:
    for error in (ValueError("x"), KeyError("x"), EOFError(), zlib.error("x"), SyntaxError("x")):
        with (
            pytest.raises(DataError, match='"f" is damaged, or not a thing'),
            reading.reading('"f"', "a thing"),
        ):
            raise error
    with pytest.raises(DataError, match="more memory"), reading.reading('"f"'):
        raise MemoryError
    with pytest.raises(DataError, match="mine"), reading.reading('"f"'):
        raise DataError("mine")
    assert reading.shown("a\x1b[31mb\n\u202e") == "a [31mb  "
    assert read_image(io.BytesIO(png(2, 2)).getvalue()).shape == (3, 2, 2)
