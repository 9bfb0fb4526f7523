"""PyTorch's ops are held to the contract of layers: each promise, each layer that has an op."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="needs PyTorch: pip install caffelite[torch]")

from caffelite.engines.torch.op import registry as ops
from caffelite.engines.torch.passes import TorchPasses
from caffelite.layers import registry
from caffelite.testing import check_layer, contract_tests
from caffelite.testing.bench import Bench

TAKEN = [name for name in sorted(ops) if name in registry and registry[name].cases]

test_contract = contract_tests(*TAKEN, engines=["torch"])


def test_it_is_the_op_that_is_tested() -> None:
    found = []
    for name in TAKEN:
        passes = [Bench(case, engine="torch").passes for case in registry[name].cases]
        found += [name for p in passes if isinstance(p, TorchPasses) and p.op is not None][:1]
    assert found == TAKEN


def test_an_op_that_is_wrong_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ops["TanH"], "value", lambda self, x, out: torch.tanh(x) * 1.001)
    with pytest.raises(AssertionError, match=r"gradients|worked out by hand"):
        check_layer("TanH", engine="torch")
