"""Parameters in half precision, as NVCaffe and OpenCV's shrinkCaffeModel store them."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

import caffelite
from caffelite.cli import main
from caffelite.errors import SnapshotError
from caffelite.files import parse_net
from caffelite.schema.binary import array_of, halved
from caffelite.schema.common import BlobProto, BlobShape, RawType
from caffelite.schema.net import NetParameter
from caffelite.schema.wire import decode
from caffelite.seal import verify_file
from caffelite.weights import read_weights

NET = """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 2 } } }
layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip"
  inner_product_param { num_output: 2 weight_filler { type: "xavier" } } }
"""


def test_bytes_by_hand() -> None:
    """1 is 0x3C00, -2 is 0xC000, 1/3 is 0x3555 in half precision."""
    shape = b"\x3a\x03\x0a\x01\x03"
    raw = struct.pack("<3H", 0x3C00, 0xC000, 0x3555)
    blob = decode(shape + b"\x50\x02" + b"\x62\x06" + raw, BlobProto)
    array = array_of(blob)
    assert array.dtype == np.float32
    assert array.tolist() == [1.0, -2.0, 0.333251953125]


@pytest.mark.parametrize("kind, code", [(RawType.FLOAT, "<2f"), (RawType.DOUBLE, "<2d")])
def test_other_types(kind: RawType, code: str) -> None:
    blob = BlobProto(
        shape=BlobShape(dim=[2]), raw_data_type=kind, raw_data=struct.pack(code, 0.5, 3.0)
    )
    assert array_of(blob).tolist() == [0.5, 3.0]


@pytest.mark.parametrize(
    "blob, word",
    [
        (BlobProto(raw_data_type=RawType.INT, raw_data=b"1234"), "of type INT"),
        (BlobProto(raw_data_type=RawType.FLOAT16, raw_data=b"123"), "no whole number"),
        (
            BlobProto(shape=BlobShape(dim=[3]), raw_data_type=RawType.FLOAT16, raw_data=b"1234"),
            "holds 2 values",
        ),
    ],
)
def test_damage_is_refused(blob: BlobProto, word: str) -> None:
    with pytest.raises(SnapshotError, match=word):
        array_of(blob)


def test_too_large_a_value_is_refused() -> None:
    with pytest.raises(SnapshotError, match="70000 is too large"):
        halved(BlobProto(shape=BlobShape(dim=[2]), data=[1.0, 70000.0]))


def test_a_net_is_saved_and_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "n.net").write_text(NET)
    net = caffelite.Net(str(tmp_path / "n.net"), caffelite.TEST, seed=1)
    full, half, again = (str(tmp_path / f"{n}.caffemodel") for n in ("full", "half", "again"))
    net.save(full)
    net.save(half, half=True)
    assert main(["upgrade", "--half", full, again]) == 0
    wanted = net.params["ip"][0].data.astype(np.float16).astype(np.float32)
    for path in (half, again):
        np.testing.assert_array_equal(read_weights(path)["ip"][0], wanted)
    net.copy_from(half)
    np.testing.assert_array_equal(net.params["ip"][0].data, wanted)
    stored = decode(Path(again).read_bytes(), NetParameter).layer[1].blobs[0]
    assert (stored.raw_data_type, len(stored.raw_data), stored.has("data")) == (
        RawType.FLOAT16,
        8,
        False,
    )
    with pytest.raises(SnapshotError, match="half precision is for"):
        net.save(str(tmp_path / "x.h5"), half=True)
    assert main(["upgrade", "--half", str(tmp_path / "n.net"), str(tmp_path / "m.net")]) == 1


def test_upgrade_keeps_our_seal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    net, half = str(tmp_path / "a.caffemodel"), str(tmp_path / "b.caffemodel")
    caffelite.Net(parse_net(NET), caffelite.TEST, seed=1).save(net)
    assert main(["upgrade", "--half", net, half]) == 0
    said = capsys.readouterr().out
    assert "left out" not in said and "already up to date" not in said
    verify_file(half, required=True)
    data = bytearray(Path(net).read_bytes())
    data[len(data) // 2] ^= 1
    Path(net).write_bytes(data)
    assert main(["upgrade", net, half, "--force"]) == 1
    assert "not as it was written" in capsys.readouterr().err
