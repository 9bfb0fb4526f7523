"""The update: the same in any blocks, on any engine's vectors, and without large temporaries."""

from __future__ import annotations

import tracemalloc
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from caffelite.schema.solver import SolverParameter
from caffelite.solver.blocks import BLOCK
from caffelite.solver.rules import RULES
from caffelite.solver.update import Update

BUILT_IN = [name for name, rule in RULES.items() if rule.__module__.startswith("caffelite.")]
SETTINGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "L2": {"weight_decay": 0.01},
    "L1, clip, iter_size": {
        "weight_decay": 0.02,
        "regularization_type": "L1",
        "clip_gradients": 3.0,
        "iter_size": 3,
    },
}
SIZES = (40, 7, 500, 3, 64, 1)


def arena_of(sizes: tuple[int, ...], rng: np.random.Generator) -> SimpleNamespace:
    """Parameters with random values, and multipliers that differ."""
    params, slices, end = [], [], 0
    for i, size in enumerate(sizes):
        mults = {"lr_mult": (1.0, 2.0, 0.0, 10.0)[i % 4], "decay_mult": (1.0, 0.0, 0.5)[i % 3]}
        params.append(SimpleNamespace(**mults))
        slices.append(slice(end, end + size))
        end += -(-size // 16) * 16
    data, diff = (np.zeros(end, np.float32) for _ in range(2))
    for where in slices:
        data[where] = rng.normal(size=where.stop - where.start)
    return SimpleNamespace(data=data, diff=diff, params=params, slices=slices)


def number(dtype: Any = np.float32) -> Any:
    return partial(np.array, dtype=dtype)


def setting(rule: str, name: str) -> SolverParameter:
    momentum = {"momentum": 0.9} if "momentum" in (RULES[rule].fields or ()) else {}
    return SolverParameter(delta=1e-4, **momentum, **SETTINGS[name])


def trained(update: Update, arena: Any, steps: int = 6) -> list[Any]:
    """The parameters and histories after some updates, whose gradients are the same each time."""
    rng = np.random.default_rng(5)
    for iteration in range(steps):
        for where in arena.slices:
            values = rng.normal(size=where.stop - where.start).astype(np.float32)
            arena.diff[where] = values if isinstance(arena.diff, np.ndarray) else tensor(values)
        update.apply(0.01 / (iteration + 1), iteration)
    return [arena.data, *update.history]


def tensor(values: np.ndarray) -> Any:
    return pytest.importorskip("torch").from_numpy(values)


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("rule", BUILT_IN)
def test_blocks_change_nothing(rule: str, name: str) -> None:
    results = []
    for most in (BLOCK, 50, 7, 1):
        arena = arena_of(SIZES, np.random.default_rng(1))
        update = Update(
            setting(rule, name), RULES[rule](setting(rule, name), number()), arena, most
        )
        results.append(trained(update, arena))
    for other in results[1:]:
        for mine, theirs in zip(results[0], other):
            assert mine.tobytes() == theirs.tobytes()
    gaps = np.ones(len(results[0][0]), bool)
    for where in arena.slices:
        gaps[where] = False
    assert gaps.any() and not any(vector[gaps].any() for vector in results[0])


def test_a_block_has_the_rate_and_the_penalty_of_its_parameters() -> None:
    """SGD without momentum, by hand: W - lr·lr_mult·(g + λ·decay_mult·W)."""
    rng = np.random.default_rng(2)
    for most in (BLOCK, 20):
        arena = arena_of(SIZES, rng)
        arena.diff[...] = rng.normal(size=len(arena.diff))
        expected = []
        for param, where in zip(arena.params, arena.slices):
            w, g = arena.data[where].astype(float), arena.diff[where].astype(float)
            expected.append(w - 0.1 * param.lr_mult * (g + 0.3 * param.decay_mult * w))
        param = SolverParameter(weight_decay=0.3)
        Update(param, RULES["SGD"](param, number()), arena, most).apply(0.1, 0)
        for where, values in zip(arena.slices, expected):
            np.testing.assert_allclose(arena.data[where], values, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("rule", BUILT_IN)
def test_a_rule_runs_on_the_vectors_of_pytorch(rule: str, name: str) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    param = setting(rule, name)
    arena = arena_of(SIZES, np.random.default_rng(1))
    expected = trained(Update(param, RULES[rule](param, number()), arena), arena)
    arena = arena_of(SIZES, np.random.default_rng(1))
    arena.data, arena.diff = torch.from_numpy(arena.data), torch.from_numpy(arena.diff)
    theirs = RULES[rule](param, partial(torch.tensor, dtype=torch.float32), torch)
    found = trained(Update(param, theirs, arena), arena)
    for mine, other in zip(expected, found):
        assert isinstance(other, torch.Tensor)
        np.testing.assert_allclose(mine, other.numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("rule", BUILT_IN)
def test_beside_the_histories_nothing_is_as_long_as_the_parameters(rule: str, name: str) -> None:
    sizes = (600_000, 300, 900_000, 300)
    arena = arena_of(sizes, np.random.default_rng(0))
    param = setting(rule, name)
    tracemalloc.start()
    update = Update(param, RULES[rule](param, number()), arena)
    update.apply(0.1, 0)
    update.apply(0.1, 1)
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    histories = sum(vector.nbytes for vector in update.history)
    assert held - histories < arena.data.nbytes / 10
    assert peak - histories < arena.data.nbytes / 10


@pytest.mark.parametrize("name", SETTINGS)
def test_a_gradient_that_is_not_finite_changes_nothing(name: str) -> None:
    arena = arena_of(SIZES, np.random.default_rng(1))
    rule = RULES["SGD"](setting("SGD", name), number())
    update = Update(setting("SGD", name), rule, arena)
    arena.diff[:] = 1
    assert update.apply(0.1, 0)
    before = [arena.data.copy(), *(h.copy() for h in update.history)]
    arena.diff[:] = 1
    arena.diff[3] = np.nan
    assert not update.apply(0.1, 1)
    for now, was in zip([arena.data, *update.history], before):
        np.testing.assert_array_equal(now, was)
    assert len(update.norms()) == 1  # of the iterations before
