"""TextData: which bytes, which follow, where a stream begins, and going on after a snapshot."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from caffelite import Net
from caffelite.errors import CaffeliteError
from caffelite.files import parse_net
from caffelite.schema.common import Phase

TOPS = 'top: "data" top: "cont" top: "label"'


def net_of(folder: Path, text: bytes, fields: str, tops: str = TOPS, **kw: Any) -> Net:
    (folder / "text.txt").write_bytes(text)
    fields = f'source: "text.txt" {fields}'
    net = f'layer {{ name: "t" type: "TextData" {tops} text_data_param {{ {fields} }} }}'
    return Net(parse_net(net), phase=Phase.TRAIN, folder=str(folder), **kw)


def letters(blob: np.ndarray) -> list[str]:
    """Stream by stream, as text."""
    return ["".join(chr(int(c)) for c in column) for column in blob.T]


def test_streams_are_read_side_by_side_and_the_label_is_the_next_byte(tmp_path: Path) -> None:
    net = net_of(tmp_path, b"abcdefghijklm", "batch_size: 2 seq_len: 3")  # 2 streams of 6
    top = net.forward()
    assert letters(top["data"]) == ["abc", "ghi"]
    assert letters(top["label"]) == ["bcd", "hij"]
    assert top["cont"].tolist() == [[0, 0], [1, 1], [1, 1]]
    top = net.forward()
    assert letters(top["data"]) == ["def", "jkl"]
    assert letters(top["label"]) == ["efg", "klm"]
    assert top["cont"].tolist() == [[1, 1]] * 3
    assert letters(net.forward()["data"]) == ["abc", "ghi"]


def test_a_stream_begins_again_in_the_middle_of_a_piece(tmp_path: Path) -> None:
    net = net_of(tmp_path, b"abcdef", "batch_size: 1 seq_len: 3")  # 5 bytes that have a next one
    pieces = [{k: v.copy() for k, v in net.forward().items()} for _ in range(3)]
    assert [letters(p["data"])[0] for p in pieces] == ["abc", "dea", "bcd"]
    assert [letters(p["label"])[0] for p in pieces] == ["bcd", "efb", "cde"]
    assert [p["cont"][:, 0].tolist() for p in pieces] == [[0, 1, 1], [1, 1, 0], [1, 1, 1]]


def test_a_piece_may_be_longer_than_a_stream(tmp_path: Path) -> None:
    top = net_of(tmp_path, b"abc", "batch_size: 1 seq_len: 5").forward()
    assert letters(top["data"]) == ["ababa"]
    assert top["cont"][:, 0].tolist() == [0, 1, 0, 1, 0]


def test_a_part_of_the_file_and_any_bytes(tmp_path: Path) -> None:
    text = b"12345" + "aé".encode() + b"\r\xff"
    net = net_of(tmp_path, text, "batch_size: 1 seq_len: 4 begin: 0.5 end: 1")
    top = net.forward()
    assert top["data"][:, 0].tolist() == [ord("a"), 0xC3, 0xA9, 0x0D]
    assert top["label"][:, 0].tolist() == [0xC3, 0xA9, 0x0D, 0xFF]


def test_parts_that_meet_share_no_byte(tmp_path: Path) -> None:
    text = bytes(range(101))
    first = net_of(tmp_path, text, "batch_size: 1 seq_len: 200 end: 0.9").forward()
    second = net_of(tmp_path, text, "batch_size: 1 seq_len: 200 begin: 0.9").forward()
    assert set(first["label"].ravel()) | set(first["data"].ravel()) == set(range(91))
    assert set(second["label"].ravel()) | set(second["data"].ravel()) == set(range(91, 101))


def test_an_epoch_is_counted_in_pieces(tmp_path: Path) -> None:
    layer: Any = net_of(tmp_path, bytes(1001), "batch_size: 10 seq_len: 30").layers[0]
    assert (layer.epoch_size, layer.batch_size) == (30, 10)  # 100 bytes a stream: 3 pieces


def test_tops_from_the_end_may_be_left_out(tmp_path: Path) -> None:
    net = net_of(tmp_path, b"abcdef", "batch_size: 1 seq_len: 2", tops='top: "data"')
    assert letters(net.forward()["data"]) == ["ab"]


@pytest.mark.parametrize("used", [0, 1, 5, 12])
def test_it_goes_on_where_its_state_says(tmp_path: Path, used: int) -> None:
    text, fields = bytes(range(200)), "batch_size: 3 seq_len: 7"
    net, other = net_of(tmp_path, text, fields), net_of(tmp_path, text, fields)
    for _ in range(used):
        net.forward()
    other.forward()
    other.layers[0].restore(json.loads(json.dumps(net.layers[0].state())))
    for _ in range(10):
        expected, found = net.forward(), other.forward()
        for name in expected:
            np.testing.assert_array_equal(found[name], expected[name])


@pytest.mark.parametrize(
    ("text", "fields", "message"),
    [
        (b"abc", "seq_len: 2", "no batch_size"),
        (b"abc", "batch_size: 1", "no seq_len"),
        (b"abc", "batch_size: 3 seq_len: 2", '3 bytes of "'),
        (b"", "batch_size: 1 seq_len: 2", '0 bytes of "'),
        (b"abc", "batch_size: 1 seq_len: 1 begin: 0.5 end: 0.5", "begin is 0.5 and end is 0.5"),
        (b"abc", "batch_size: 1 seq_len: 1 end: 1.5", "end is 1.5"),
        (b"abc", "batch_size: 1 seq_len: 1 begin: nan", "begin is nan"),
    ],
)
def test_mistakes_are_refused_with_their_place(
    tmp_path: Path, text: bytes, fields: str, message: str
) -> None:
    with pytest.raises(CaffeliteError) as caught:
        net_of(tmp_path, text, fields)
    (problem,) = caught.value.problems
    assert message in problem.message
    assert problem.span is not None


def test_a_source_that_is_missing_or_a_folder_is_refused(tmp_path: Path) -> None:
    net = f'layer {{ name: "t" type: "TextData" {TOPS} text_data_param {{ batch_size: 1 seq_len: 1'
    for source, message in ((' source: "no.txt"', "no.txt"), (' source: "."', "is a folder")):
        with pytest.raises(CaffeliteError, match=message):
            Net(parse_net(f"{net}{source} }} }}"), phase=Phase.TRAIN, folder=str(tmp_path))
