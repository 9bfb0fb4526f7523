"""Every update rule against its paper's, computed in plain Python on a least-squares problem."""

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from caffelite.solver import SOLVERS

from . import oracle
from .made import make, parameters, spiral

RULES: dict[str, tuple[str, Callable[[], oracle.Step]]] = {
    "SGD": ("base_lr: 0.1 momentum: 0.9", lambda: oracle.sgd(0.9)),
    "Nesterov": ("base_lr: 0.1 momentum: 0.9", lambda: oracle.nesterov(0.9)),
    "AdaGrad": ("base_lr: 0.1 delta: 1e-4", lambda: oracle.adagrad(1e-4)),
    "RMSProp": (
        "base_lr: 0.1 rms_decay: 0.95 delta: 1e-4",
        lambda: oracle.rmsprop(0.95, 1e-4),
    ),
    "AdaDelta": (
        "base_lr: 0.9 momentum: 0.95 delta: 1e-3",
        lambda: oracle.adadelta(0.95, 1e-3),
    ),
    "Adam": (
        "base_lr: 0.1 momentum: 0.9 momentum2: 0.99 delta: 1e-4",
        lambda: oracle.adam(0.9, 0.99, 1e-4),
    ),
    "AdamW": (
        "base_lr: 0.1 momentum: 0.9 momentum2: 0.99 delta: 1e-4",
        lambda: oracle.adam(0.9, 0.99, 1e-4),
    ),
}
VARIANTS: dict[str, tuple[str, dict]] = {
    "plain": ("", {}),
    "L2": ("weight_decay: 0.3", {"decay": 0.3}),
    "L1": ('weight_decay: 0.1 regularization_type: "L1"', {"decay": 0.1, "l1": True}),
    "clip": ("clip_gradients: 0.7", {"clip": 0.7}),
    "iter_size": ("iter_size: 3", {"iter_size": 3}),
    "all": (
        "iter_size: 2 clip_gradients: 1.5 weight_decay: 0.2",
        {"iter_size": 2, "clip": 1.5, "decay": 0.2},
    ),
}
POLICIES: dict[str, tuple[str, Callable[[int], float]]] = {
    "fixed": ('lr_policy: "fixed"', lambda i: 1.0),
    "step": ('lr_policy: "step" gamma: 0.5 stepsize: 4', lambda i: 0.5 ** (i // 4)),
    "exp": ('lr_policy: "exp" gamma: 0.9', lambda i: 0.9**i),
    "inv": ('lr_policy: "inv" gamma: 0.2 power: 0.75', lambda i: (1 + 0.2 * i) ** -0.75),
    "multistep": (
        'lr_policy: "multistep" gamma: 0.3 stepvalue: 3 stepvalue: 9',
        lambda i: 0.3 ** ((i >= 3) + (i >= 9)),
    ),
    "poly": ('lr_policy: "poly" power: 2', lambda i: (1 - i / 15) ** 2),
    "sigmoid": (
        'lr_policy: "sigmoid" gamma: 0.5 stepsize: 7',
        lambda i: 1 / (1 + np.exp(-0.5 * (i - 7))),
    ),
    "cosine": ('lr_policy: "cosine"', lambda i: (1 + np.cos(np.pi * i / 15)) / 2),
    "warm-up": ('lr_policy: "fixed" warmup_iter: 5', lambda i: min(1.0, i / 5)),
}

RNG = np.random.default_rng(3)
X = RNG.normal(size=(8, 3))
T = X @ [1.0, -2.0, 0.5] + 0.3 + RNG.normal(scale=0.1, size=8)
START = [0.4, -0.1, 0.0, 0.2]
LR_MULT, DECAY_MULT = [1.0, 1.0, 1.0, 2.0], [1.0, 1.0, 1.0, 0.5]


def compare(
    folder: Path, rule: str, text: str, factor: Callable[[int], float], options: dict
) -> None:
    fields, step = RULES[rule]
    solver = make(folder, f'type: "{rule}" max_iter: 15 {fields} {text}', dtype=np.float64)
    solver.net.blobs["x"].data[...] = X
    solver.net.blobs["t"].data[...] = T[:, None]
    weight, bias = solver.net.params["ip"]
    weight.data[...], bias.data[...] = START[:3], START[3]
    base = float(fields.split()[1])
    options = dict(options)
    decay = options.pop("decay", 0.0)
    expected = oracle.train(
        [step() for _ in START],
        START,
        X.tolist(),
        T.tolist(),
        [base * factor(i) for i in range(15)],
        lr_mult=LR_MULT,
        decay=[decay * m for m in DECAY_MULT],
        decoupled=rule == "AdamW",
        **options,
    )
    for values in expected:
        solver.step(1)
        np.testing.assert_allclose(parameters(solver), values, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("rule", RULES)
def test_a_rule_is_the_papers(tmp_path: Path, rule: str, variant: str) -> None:
    text, options = VARIANTS[variant]
    compare(tmp_path, rule, f'lr_policy: "fixed" {text}', lambda i: 1.0, options)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("rule", RULES)
def test_a_rule_follows_the_policy(tmp_path: Path, rule: str, policy: str) -> None:
    text, factor = POLICIES[policy]
    compare(tmp_path, rule, text, factor, {})


def test_every_rule_is_compared() -> None:
    assert {name for name, cls in SOLVERS.items() if cls.__module__.startswith("caffelite.")} == {
        *RULES
    }


def test_the_comparison_sees_a_wrong_rate(tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        compare(tmp_path, "Adam", 'lr_policy: "fixed"', lambda i: 1.0001, {})


@pytest.mark.parametrize("rule", RULES)
def test_a_bigger_batch_and_several_small_ones_are_the_same(tmp_path: Path, rule: str) -> None:
    fields = RULES[rule][0]
    results = []
    for batch, iter_size in ((24, 1), (8, 3)):
        net = spiral(f"batch_size: {batch} shuffle: false")
        text = f'type: "{rule}" lr_policy: "fixed" random_seed: 1 weight_decay: 0.01 {fields}'
        solver = make(tmp_path, f"{text} iter_size: {iter_size}", net, np.float64)
        solver.step(12)
        results.append(parameters(solver))
    np.testing.assert_allclose(results[0], results[1], rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("rule", RULES)
def test_a_step_makes_no_arrays_of_the_nets_size(tmp_path: Path, rule: str) -> None:
    solver = make(
        tmp_path,
        f'type: "{rule}" lr_policy: "fixed" weight_decay: 0.1 {RULES[rule][0]}',
        """layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 1 dim: 300 } } }
        layer { name: "ip" type: "InnerProduct" bottom: "x" top: "y" loss_weight: 1
                inner_product_param { num_output: 300 } }
        layer { name: "sum" type: "Reduction" bottom: "y" top: "loss" loss_weight: 1 }""",
    )
    solver.apply_update()
    tracemalloc.start()
    solver.apply_update()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < solver.net.arena.data.nbytes / 10
