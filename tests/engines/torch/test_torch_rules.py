"""The update rules on tensors, beside NumPy's."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs PyTorch: pip install caffelite[torch]")

from caffelite import TRAIN, Net
from caffelite.engines.torch.device import CPU, Place
from caffelite.engines.torch.updating import vectors_of
from caffelite.schema.solver import SolverParameter
from caffelite.solver.rules import RULES, make_rule
from caffelite.solver.update import Update, make_update

from .nets import APART, net_param

NET = """
layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }
layer { name: "a" type: "InnerProduct" bottom: "x" top: "a" param { lr_mult: 2 decay_mult: 0 }
        inner_product_param { num_output: 4 weight_filler { type: "gaussian" } } }
layer { name: "loss" type: "EuclideanLoss" bottom: "a" bottom: "x4" top: "loss" }
""".replace(
    'layer { name: "loss"',
    'layer { name: "y" type: "Input" top: "x4" input_param { shape { dim: 2 dim: 4 } } }\n'
    'layer { name: "loss"',
)
BUILT_IN = ["SGD", "Nesterov", "AdaGrad", "RMSProp", "AdaDelta", "Adam", "AdamW"]


@pytest.mark.parametrize("place", [CPU, APART], ids=["cpu", "apart"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", BUILT_IN)
def test_a_rule_changes_tensors_as_it_changes_arrays(name: str, dtype: type, place: Place) -> None:
    momentum = 0.0 if name in ("AdaGrad", "RMSProp") else 0.9
    param = SolverParameter(type=name, momentum=momentum, weight_decay=0.01, delta=1e-6)
    nets = [Net(net_param(NET), TRAIN, dtype=dtype, seed=1) for _ in range(2)]
    cls = RULES[name]
    vectors = vectors_of(nets[1].arena, place)
    updates = (
        make_update(cls, nets[0], param),
        Update(param, make_rule(cls, vectors, param), vectors.parameters, vectors.block),
    )
    rng = np.random.default_rng(3)
    for iteration in range(4):
        gradient = rng.normal(size=nets[0].arena.diff.shape)
        for net, update in zip(nets, updates):
            net.arena.diff[...] = gradient
            update.apply(0.1, iteration)
    expected, found = (net.arena.data for net in nets)
    tolerance = 1e-5 if dtype == np.float32 else 1e-13
    np.testing.assert_allclose(found, expected, tolerance, tolerance)
    for mine, theirs in zip(updates[1].history, updates[0].history):
        np.testing.assert_allclose(mine.numpy(), theirs, tolerance, tolerance)
