"""tools/draw_boxes.py, as a person runs it."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

import caffelite
from caffelite.net import Net

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("draw_boxes", ROOT / "tools" / "draw_boxes.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_it_draws(tool: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (ROOT / "nets" / "ssd_shapes.net").read_text(encoding="utf-8")
    (tmp_path / "n.net").write_text(text.replace("batch_size: 50", "batch_size: 2"))
    net, weights, out = (str(tmp_path / f) for f in ("n.net", "n.caffemodel", "b.png"))
    Net(net, caffelite.TEST, seed=1).save(weights)
    assert tool.main([net, weights, "--out", out, "--images", "3", "--least", "0.2"]) == 0
    assert capsys.readouterr().out.startswith(f"wrote {out} (1600 x 400 pixels")
    assert Path(out).read_bytes().startswith(b"\x89PNG")


def test_a_net_that_detects_nothing_is_refused(
    tool: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    net, weights = str(ROOT / "nets" / "spiral.net"), str(tmp_path / "w.caffemodel")
    Net(net, caffelite.TEST, seed=1).save(weights)
    assert tool.main([net, weights, "--out", str(tmp_path / "b.png")]) == 1
    assert "has no layer DetectionOutput in phase TEST" in capsys.readouterr().err
    assert not (tmp_path / "b.png").exists()
