"""Bombs: strange files that are made to take much time, much memory, or to lead nowhere."""

from __future__ import annotations

import gzip
import io
import os
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from caffelite.files import load_net, load_solver
from caffelite.schema.binary import encode, read_blob
from caffelite.schema.solver import SolverState
from caffelite.snapshot import read_state
from caffelite.weights import read_weights

from .targets import read_layer

MB = 1 << 20
Make = Callable[[Path], object]


@dataclass(frozen=True)
class Bomb:
    """`make` puts a bomb at a path in a folder of data files, where `read` will find it."""

    name: str
    file: str
    make: Make
    read: Callable[[Path], object]


READERS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "caffemodel": ("w.caffemodel", lambda at: read_weights(at / "w.caffemodel")),
    "solverstate": ("w.solverstate", lambda at: read_state(str(at / "w.solverstate"))),
    "mean": ("mean", lambda at: read_blob(at / "mean")),
    "net": ("n.net", lambda at: load_net(at / "n.net")),
    "solver": ("s.solver", lambda at: load_solver(at / "s.solver")),
    "csv": ("t.csv", read_layer("CsvData")),
    "idx": ("images.gz", read_layer("IdxData")),
    "npz": ("a.npz", read_layer("NumpyData")),
    "hdf5": ("0.h5", read_layer("HDF5Data")),
    "hdf5 list": ("h5.txt", read_layer("HDF5Data")),
    "list": ("img.txt", read_layer("ImageData")),
    "windows": ("w.txt", read_layer("WindowData")),
    "image": ("classes/class0/0.png", read_layer("ImageData")),
    "lmdb": ("db/data.mdb", read_layer("Data")),
    "text": ("t.csv", read_layer("TextData")),
}


def bombs(only: str = "") -> Iterator[Bomb]:
    """All of them, or those whose names begin with `only`."""
    return (bomb for bomb in _bombs(only.split(":")[0]) if bomb.name.startswith(only))


def _bombs(start: str) -> Iterator[Bomb]:
    for kind, files in CONTENTS.items():
        if not kind.startswith(start):
            continue
        file, read = READERS[kind]
        for name, content in files().items():
            make = _write(content) if isinstance(content, bytes) else content
            yield Bomb(f"{kind}: {name}", file, make, read)
    for kind, (file, read) in READERS.items():
        for name, special in SPECIAL.items():
            yield Bomb(f"{kind}: {name}", file, special, read)


def _write(data: bytes) -> Make:
    return lambda path: path.write_bytes(data)


def varint(n: int) -> bytes:
    out = []
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    return bytes([*out, n])


def field(number: int, data: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(data)) + data


def wire(blob: Callable[[bytes], bytes]) -> dict[str, bytes | Make]:
    """Bombs in the wire format; `blob` makes a message that holds a stored blob."""
    values = field(5, struct.pack("<f", 1.0))
    return {
        "9 MB of empty blobs": blob(b"") * (9 * MB // max(1, len(blob(b"")))),
        "9 MB of extents, packed": blob(values + field(7, field(1, b"\1" * 9 * MB))),
        "9 MB of extents": blob(values + field(7, b"\x08\1" * (9 * MB // 2))),
        "300 axes": blob(values + field(7, field(1, b"\1" * 300))),
        "10^10 values": blob(values + field(7, field(1, varint(10**10)))),
        "an extent of -1": blob(values + field(7, field(1, varint(2**64 - 1)))),
        "9 MB of empty shapes": blob(values + b"\x3a\0" * (9 * MB // 2)),
        "9 MB of floats, one by one": blob(b"\x2d\0\0\x80\x3f" * (9 * MB // 5)),
        "9 MB of doubles, one by one": blob(b"\x41" + b"\0" * 8 * (9 * MB // 9)),
        "9 MB of unknown fields": blob(b"\x78\1" * (9 * MB // 2)),
        "a million groups within each other": b"\x7b" * MB,
        "100 messages within each other": _nested(100_000),
        "a length of 2^63": b"\x0a" + varint(2**63) + b"x",
        "a name of 50 MB": field(2 if blob(b"")[:1] == b"\x1a" else 1, b"n" * 50 * MB),
        "zeros": bytes(20 * MB),
        "ones": b"\xff" * 20 * MB,
    }


def _nested(deep: int) -> bytes:
    data = b""
    for _ in range(deep):
        data = field(2, data[-1000:])
    return data


def _json(text: str) -> bytes:
    return encode(SolverState(iter=1, learned_net="x", run_state=text))


def _gzip(data: bytes, times: int = 1) -> bytes:
    return gzip.compress(data) * times


def _idx(*shape: int) -> bytes:
    return bytes([0, 0, 8, len(shape)]) + b"".join(n.to_bytes(4, "big") for n in shape)


def _npy(header: str) -> bytes:
    text = header.encode()
    return b"\x93NUMPY\x02\0" + struct.pack("<I", len(text)) + text


def _zip(*members: tuple[str, bytes], packed: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", packed) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return file.getvalue()


def _png(
    width: int, height: int, *, data: int = 0, extra: tuple[bytes, bytes] | None = None
) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        check = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(bytes(MB)) for _ in range(data)) + packer.flush()
    parts = [chunk(b"IHDR", head), *([chunk(*extra)] if extra else [])]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def _hdf5(fill: Callable[[h5py.File], object]) -> Make:
    def make(path: Path) -> None:
        path.unlink(missing_ok=True)
        with h5py.File(path, "w") as file:
            fill(file)
            if "label" not in file:
                file["label"] = np.zeros((6, 1), np.float32)

    return make


def _deep(file: h5py.File) -> None:
    at = file
    for _ in range(500):
        at = at.create_group("g")
    file["data"] = h5py.SoftLink("/g/g")


def _chunked(file: h5py.File) -> None:
    shape = (6, 1 << 28)
    file.create_dataset("data", shape, "f4", chunks=(1, 1 << 28), compression="gzip")


SPECIAL: dict[str, Make] = {
    "a pipe": lambda path: (path.unlink(missing_ok=True), os.mkfifo(path)),
    "an endless device": lambda path: (path.unlink(missing_ok=True), path.symlink_to("/dev/zero")),
    "a folder": lambda path: (path.unlink(missing_ok=True), path.mkdir()),
    "5 GB of nothing": lambda path: os.truncate((path.write_bytes(b""), path)[1], 5 << 30),
    "a link to itself": lambda path: (path.unlink(missing_ok=True), path.symlink_to(path)),
}

LAYER = 'layer { name: "x" type: "ReLU" bottom: "x" top: "x" }\n'
CONTENTS: dict[str, Callable[[], dict[str, bytes | Make]]] = {
    "caffemodel": lambda: {
        **wire(lambda data: field(100, field(1, b"a") + field(7, data))),
        "9 MB of empty layers": b"\xa2\6\0" * (3 * MB),
        "9 MB of empty old layers": b"\x12\0" * (9 * MB // 2),
        "a million names": field(100, b"\x0a\1a" * MB),
    },
    "solverstate": lambda: {
        **{
            name: b"\x08\1" + data
            for name, data in wire(lambda d: field(3, d)).items()
            if isinstance(data, bytes)
        },
        "a number of 10 MB": _json('{"a": ' + "7" * 10 * MB + "}"),
        "a deep tree": _json("[" * 5 * MB),
        "many lists": _json("[" + "[]," * (2 * MB) + "[]]"),
        "a long exponent": _json('{"a": 1e' + "9" * MB + "}"),
    },
    "mean": lambda: wire(lambda data: data),
    "net": lambda: {
        "9 MB of layers": LAYER.encode() * (9 * MB // len(LAYER)),
        "1 MB of layers": LAYER.encode() * (MB // len(LAYER)),
        "a number of 2 MB": b'layer { name: "x" loss_weight: ' + b"7" * 2 * MB + b" }",
        "a number of 10 MB": b"force_backward: " + b"1" * 10 * MB,
        "a name of 2 MB": b'name: "' + b"n" * 2 * MB + b'"',
        "a million braces": b"layer {" * 150_000,
        "a text that does not end": b'name: "' + b"x" * MB,
        "a comment of 2 MB": b"#" * 2 * MB,
        "a million lines": b"\n" * MB,
        "a million commas": b"input_dim: [" + b"1," * (MB // 4) + b"1]",
        "a million texts joined": b"name: " + b'"a" ' * (MB // 8),
        "200,000 unknown fields": b"x:1 " * 200_000,
        "brackets": b"[" * MB,
        "a line of 1 MB with a mistake": b"name: 1 " + b" " * MB + b"}",
        "zeros": bytes(2 * MB),
        "escapes": b'name: "' + b"\\x" * (MB // 2) + b'"',
    },
    "solver": lambda: {
        "200,000 test nets": b'test_net: "x" ' * 100_000,
        "a number of 2 MB": b"base_lr: 0." + b"3" * 2 * MB,
        "an exponent of 2 MB": b"base_lr: 1e" + b"9" * 2 * MB,
    },
    "csv": lambda: {
        "a number of 10 MB": b"1," + b"7" * 10 * MB + b"\n",
        "a fraction of 10 MB": b"1,0." + b"7" * 10 * MB + b"\n",
        "an exponent of 10 MB": b"1,1e" + b"7" * 10 * MB + b"\n",
        "5 million columns": b"1," * (5 * MB) + b"1\n",
        "a quote that does not end": b'1,"' + b"x\n" * (10 * MB),
        "a million empty lines": b"\n" * (10 * MB),
        "one line of 50 MB": b"x" * 50 * MB,
        "zeros": bytes(10 * MB),
    },
    "idx": lambda: {
        "says 64 GB": _gzip(_idx(1 << 20, 256, 256)),
        "says 2^96": _idx(2**32 - 1, 2**32 - 1, 2**32 - 1),
        "255 axes": _idx(*[1] * 255),
        "1 GB in 1 MB": _gzip(_idx(12, 6, 7) + bytes(64 * MB), 4),
        "12 images and 1 GB after them": _gzip(_idx(12, 6, 7) + bytes(504))
        + _gzip(bytes(64 * MB), 16),
        "a million empty parts": _gzip(b"") * 200_000,
    },
    "npz": lambda: {
        "a shape of 10^13": _npy(
            f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({10**13},)}}"
        ),
        "300 axes": _npy("{'descr': '<f4', 'fortran_order': False, 'shape': (" + "1," * 300 + ")}"),
        "a number of 9 MB": _npy("{'shape': (" + "7" * 9 * MB + ",)}"),
        "a header of 9 MB": _npy("{" + "'a': 1," * MB + "}"),
        "a header within itself": _npy("(" * 9999),
        "a header that says 4 GB": b"\x93NUMPY\x02\0\xff\xff\xff\xff{",
        "a pickle": _npy("{'descr': '|O', 'fortran_order': False, 'shape': (12,)}")
        + b"cos\nsystem\n",
        "1 GB of zeros in 1 MB": _zip(
            (
                "data.npy",
                _npy("{'descr': '<f4', 'fortran_order': False, 'shape': (12, 9999999)}")
                + bytes(256 * MB),
            ),
            ("label.npy", b""),
        ),
        "200,000 members": lambda path: path.write_bytes(
            _zip(*((f"{i}.npy", b"") for i in range(120_000)), packed=0)
        ),
        "a name of 60 KB": _zip(("a" * 60_000 + ".npy", b"")),
    },
    "hdf5": lambda: {
        "a shape of 10^10": _hdf5(
            lambda f: f.create_dataset("data", (6, 10**10), "f4", chunks=(1, 1000))
        ),
        "a chunk of 1 GB": _hdf5(_chunked),
        "500 groups within each other": _hdf5(_deep),
        "200,000 data sets": _hdf5(lambda f: [f.create_group(f"g/{i}") for i in range(20_000)]),
        "a text without end": _hdf5(lambda f: f.create_dataset("data", data=b"x" * 64000)),
        "another file's bytes": _hdf5(
            lambda f: f.create_dataset("data", (6, 4), "f4", external="/etc/passwd")
        ),
        "a link to another file": _hdf5(
            lambda f: f.__setitem__("data", h5py.ExternalLink("1.h5", "data"))
        ),
        "128 MB of zeros": _hdf5(
            lambda f: f.create_dataset("data", data=np.zeros((6, 5 * MB), "f4"), compression="gzip")
        ),
    },
    "hdf5 list": lambda: {
        "a line of 50 MB": b"x" * 50 * MB,
        "a path of 300": b"p" * 300,
        "a device": b"/dev/zero",
    },
    "list": lambda: {
        "a label of 10 MB": b"classes/class0/0.png " + b"7" * 10 * MB,
        "a line of 50 MB": b"x" * 50 * MB,
        "2 million bad lines": b"x\n" * (2 * MB),
        "a path of 300": b"p" * 300 + b" 1",
        "a device": b"/dev/zero 1",
    },
    "windows": lambda: {
        "10^9 windows": b"# 0\nclasses/class0/0.png\n3\n6\n7\n1000000000\n1 1 0 0 1 1\n",
        "an extent of 10^18": b"# 0\nclasses/class0/0.png\n3\n"
        + b"9" * 18
        + b"\n7\n1\n1 1 0 0 1 1\n",
        "a number of 10 MB": b"# " + b"9" * 10 * MB,
        "2 million lines": b"# 0\n" * (2 * MB),
    },
    "image": lambda: {
        "60,000 x 60,000": _png(60_000, 60_000),
        "9,000 x 9,000 of zeros": _png(9_000, 9_000, data=240),
        "2^31 x 1": _png(2**31 - 1, 1),
        "a text of 1 GB": _png(7, 6, extra=(b"zTXt", b"k\0\0" + zlib.compress(bytes(256 * MB)))),
        "a profile of 1 GB": _png(7, 6, extra=(b"iCCP", b"k\0\0" + zlib.compress(bytes(256 * MB)))),
        "a PPM of 10^18": b"P6 1000000000 1000000000 255\n",
        "a PPM's number of 1 MB": b"P6 " + b"1" * MB,
        "a BMP of 2^31": b"BM"
        + struct.pack(
            "<IHHIIiiHHIIiiII", 9, 0, 0, 54, 40, 2**31 - 1, 2**31 - 1, 1, 24, 0, 0, 0, 0, 0, 0
        ),
        "a TIFF within itself": b"II*\0\x08\0\0\0\0\0\x08\0\0\0",
        "a GIF of 65,535": b"GIF89a\xff\xff\xff\xff\0\0\0,\0\0\0\0\xff\xff\xff\xff\0\x02\0;",
        "a JPEG of 65,500": b"\xff\xd8\xff\xc0\0\x11\x08\xff\xdc\xff\xdc\3\1\x11\0\2\x11\0\3\x11\0"
        b"\xff\xda",
    },
    "lmdb": lambda: {
        "2^63 records": lambda path: _patch(path, {120: 2**63 - 1, 4096 + 120: 2**63 - 1}),
        "a root that is no page": lambda path: _patch(path, {128: 2**40, 4096 + 128: 2**40}),
        "2^60 pages": lambda path: _patch(path, {136: 2**60, 4096 + 136: 2**60}),
        "pages of zeros": lambda path: path.write_bytes(
            path.read_bytes()[:8192] + bytes(len(path.read_bytes()) - 8192)
        ),
        "zeros": bytes(20 * MB),
    },
}


def _patch(path: Path, numbers: dict[int, int]) -> None:
    data = bytearray(path.read_bytes())
    for at, number in numbers.items():
        data[at : at + 8] = number.to_bytes(8, "little")
    path.write_bytes(data)
