"""Every case of every layer: what the engine computes is what the reference computes."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs PyTorch: pip install caffelite[torch]")

from caffelite import Net
from caffelite.engines.torch.device import CPU, Place
from caffelite.layers import registry
from caffelite.testing.bench import Bench
from caffelite.testing.contract import Subject, same

from .nets import APART, net_param, on_torch

SUBJECTS = [
    pytest.param(Subject(cls, case), id=f"{name}-{i}")
    for name, cls in sorted(registry.items())
    for i, case in enumerate(cls.cases)
    if not cls.source
]


def results(net: Net, bench: Bench, subject: Subject) -> dict[str, np.ndarray]:
    """Two forward passes and a backward pass; what is there afterwards."""
    for name, value in zip(subject.case.inputs, bench.bottom):
        net.blobs[name].data[...] = value
    layer = net.layers[-1]
    for blob, start in zip(layer.params, bench.start_params):
        blob.data[...] = start
    net.forward()
    net.forward()
    tops = list(dict.fromkeys(bench.layer.spec.top))
    found = {f"top {i}": net.blobs[n].data.copy() for i, n in enumerate(tops)}
    found |= {f"parameter {i}": p.data.copy() for i, p in enumerate(layer.params)}
    if bench.has_backward:
        for _ in range(2):  # the second adds to the first
            net.backward(**dict(zip(layer.spec.top, bench.top_diff)))
        found |= {f"gradient of {n}": net.blobs[n].diff.copy() for n in subject.case.inputs}
        found |= {f"gradient of parameter {i}": p.diff.copy() for i, p in enumerate(layer.params)}
    return found


@pytest.mark.parametrize("place", [CPU, APART], ids=["cpu", "apart"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("subject", SUBJECTS)
def test_a_case_gives_the_same(subject: Subject, dtype: type, place: Place) -> None:
    bench = subject.bench()
    bench.forward()  # a dynamic layer has its shapes then
    param = net_param(subject.case.net_text())
    param.layer[-1].top = list(bench.layer.spec.top)
    settings = {
        "engine": "numpy",
        "dtype": dtype,
        "seed": bench.streams.seed,
        "folder": subject.folder,
    }
    reference = Net(param.copy(), subject.case.phase, **settings)
    net = on_torch(Net(param, subject.case.phase, **settings), place)
    expected = results(reference, bench, subject)
    found = results(net, bench, subject)
    same(found, expected, 2e-5 if dtype == np.float32 else 1e-12, "on PyTorch")
