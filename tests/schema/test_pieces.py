"""Messages written piece by piece have the bytes that protobuf gives; arrays are not copied."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from caffelite.errors import SnapshotError
from caffelite.schema import pieces as module
from caffelite.schema.binary import blob_proto
from caffelite.schema.common import BlobProto
from caffelite.schema.message import Message
from caffelite.schema.net import LayerParameter, NetParameter
from caffelite.schema.pieces import pieces
from caffelite.schema.solver import SolverState
from caffelite.schema.wire import encode
from caffelite.weights import write_weights

LARGE = np.arange(40_000, dtype=np.float32)


def net() -> NetParameter:
    made = NetParameter(name="n", input=["x", "y"])
    for i, size in enumerate((3, 40_000, 0, 20_000)):
        layer = LayerParameter(name=f"l{i}", type="Scale", top=["a", "b"])
        layer.blobs = [blob_proto(LARGE[:size]), blob_proto(LARGE[:2].astype(np.float64))]
        made.layer.append(layer)
    return made


@pytest.mark.parametrize(
    "message",
    [
        net(),
        blob_proto(LARGE.reshape(2, -1), LARGE.reshape(2, -1)),
        blob_proto(LARGE.astype(np.float64)),
        blob_proto(LARGE.reshape(200, 200).T),
        BlobProto(data=LARGE, diff=LARGE[:0]),
        SolverState(iter=7, history=[blob_proto(LARGE)] * 2, run_state="{}", current_step=1),
        BlobProto(num=1, data=[1.0, 2.0]),
        NetParameter(),
    ],
)
def test_the_bytes_are_those_of_protobuf(message: Message) -> None:
    assert b"".join(pieces(message)) == encode(message)


def test_lengths_of_more_than_a_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LARGE", -1)
    for size in (31, 32, 33, 4095, 4096):
        message = blob_proto(LARGE[:size])
        assert b"".join(pieces(message)) == encode(message)


def test_what_is_over_2_gb_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BYTES", 200_000)
    assert sum(map(len, pieces(blob_proto(LARGE)))) == 160_011
    with pytest.raises(SnapshotError, match="over 2 GB"):
        pieces(net())


def test_arrays_are_not_copied_on_their_way_to_a_file(tmp_path: Path) -> None:
    weights = np.zeros(4_000_000, np.float32)
    made = NetParameter(layer=[LayerParameter(name="l")])
    write_weights(tmp_path / "first.caffemodel", made, {"l": [weights[:9]]})  # imports
    tracemalloc.start()
    try:
        write_weights(tmp_path / "n.caffemodel", made, {"l": [weights]})
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (tmp_path / "n.caffemodel").stat().st_size > weights.nbytes
    assert peak < weights.nbytes / 10
