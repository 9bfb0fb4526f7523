"""Random nets agree with ONNX Runtime, blob by blob. `python -m tests.onnx.sweep` tries many."""

from __future__ import annotations

import pytest

onnx = pytest.importorskip("onnx", reason="needs the extra onnx")
pytest.importorskip("onnxruntime", reason="needs the extra onnx")

from caffelite.onnx.verify import check, verify  # noqa: E402

from .sweep import exported_random  # noqa: E402


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_random_net_agrees(seed: int) -> None:
    exported, net = exported_random(seed)
    onnx.checker.check_model(exported.model, full_check=True)
    check(verify(exported, net, seed=seed), f"net {seed}")
