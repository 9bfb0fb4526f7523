"""caffe.draw: pictures without pydot."""

from __future__ import annotations

from pathlib import Path

import pytest

from caffelite.errors import CaffeliteError
from caffelite.files import load_net
from caffelite.pycaffe import TEST, TRAIN, draw

NET = Path(__file__).parents[2] / "nets" / "lenet.net"


def test_all_formats(tmp_path: Path) -> None:
    net = load_net(NET)
    starts = {"png": b"\x89PNG", "svg": b"<svg", "dot": b"digraph", "raw": b"digraph"}
    for ext, start in starts.items():
        path = tmp_path / f"net.{ext}"
        draw.draw_net_to_file(net, str(path), "TB")
        assert path.read_bytes().startswith(start), ext
        if ext != "png":
            assert path.read_bytes() == draw.draw_net(str(NET), "TB", ext)
    assert draw.draw_net(net, "LR")[:4] == b"\x89PNG"
    assert draw.draw_net(net, "TB", "mmd").startswith(b"flowchart TD")


def test_direction_phase_and_multipliers() -> None:
    text = draw.draw_net(str(NET), "LR", "raw").decode()
    assert "rankdir=LR" in text and "lr mult" not in text
    assert "rankdir" not in draw.draw_net(str(NET), "TB", "raw").decode()
    assert "lr mult: 1.0, 2.0" in draw.draw_net(str(NET), "TB", "raw", display_lrm=True).decode()
    train, test = (draw.draw_net(str(NET), "TB", "raw", phase=p).decode() for p in (TRAIN, TEST))
    assert "accuracy" in test and "accuracy" not in train


def test_what_cannot_be_drawn_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CaffeliteError, match="does not end like a picture"):
        draw.draw_net_to_file(str(NET), str(tmp_path / "net.doc"))
    assert not list(tmp_path.iterdir())
    with pytest.raises(CaffeliteError, match='rankdir "XY"'):
        draw.draw_net(str(NET), "XY")
    with pytest.raises(CaffeliteError, match="without pydot"):
        draw.get_pydot_graph(str(NET), "LR")
    relu = next(layer for layer in load_net(NET).layer if layer.type == "ReLU")
    with pytest.raises(ValueError, match="ReLU layers do not have"):
        draw.get_layer_lr_mult(relu)
