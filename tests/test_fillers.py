"""The fillers: what each promises of its values."""

from __future__ import annotations

import math
import tracemalloc
from typing import Any

import numpy as np
import pytest

from caffelite.errors import CaffeliteError, Source
from caffelite.fillers import BLOCK, FILLERS, fill
from caffelite.schema.bind import bind
from caffelite.schema.common import FillerParameter
from caffelite.text import parse

CONV = (64, 32, 5, 5)  # outputs, inputs, kernel: fan_in 32·25, fan_out 64·25


def filled(shape: tuple[int, ...], text: str, dtype: type = np.float64) -> np.ndarray:
    """An array filled as the text says, from a fixed stream."""
    array = np.full(shape, np.nan, dtype)
    fill(array, bind(parse(Source("a.net", text)), FillerParameter), np.random.default_rng(7))
    return array


def test_no_text_means_zeros() -> None:
    assert np.all(filled((3, 2), "") == 0)


def test_constant() -> None:
    assert np.all(filled((3, 2), 'type: "constant" value: 0.25') == 0.25)


def test_a_constant_takes_no_memory_beside_the_array() -> None:
    array = np.zeros(1_000_000, np.float32)
    tracemalloc.start()
    fill(array, FillerParameter(value=0.1), np.random.default_rng(7))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < array.nbytes / 10
    assert np.all(array == np.float32(0.1))


def test_zeros_are_not_written_where_there_are_zeros() -> None:
    array = np.zeros(3)
    array.flags.writeable = False
    fill(array, FillerParameter(), np.random.default_rng(7), zeroed=True)
    with pytest.raises(ValueError, match="read-only"):
        fill(array, FillerParameter(value=1), np.random.default_rng(7), zeroed=True)


def test_a_scalar_can_be_filled() -> None:
    assert filled((), "value: 2") == 2


def test_uniform_fills_its_range_evenly() -> None:
    x = filled((20_000,), 'type: "uniform" min: -1 max: 3')
    assert -1 <= x.min() < -0.99
    assert 2.99 < x.max() < 3
    counts, _ = np.histogram(x, bins=4, range=(-1, 3))
    # each count is Binomial(20000, 1/4), sd 61: five of those
    assert np.all(np.abs(counts - 5000) < 306)


def test_gaussian_has_its_mean_and_std() -> None:
    x = filled((40_000,), 'type: "gaussian" mean: 2 std: 0.5')
    # standard errors: std/√n = 0.0025 and std/√2n = 0.0018
    assert abs(x.mean() - 2) < 5 * 0.0025
    assert abs(x.std() - 0.5) < 5 * 0.0018
    assert abs(np.mean(np.abs(x - 2) < 0.5) - 0.6827) < 0.012  # one sigma


def test_sparse_gaussian_keeps_its_share() -> None:
    x = filled((200, 300), 'type: "gaussian" std: 3 sparse: 20')
    kept = x != 0
    # a share of 20/200, standard error √(0.1·0.9/60000) = 0.0012
    assert abs(kept.mean() - 0.1) < 5 * 0.0012
    assert abs(x[kept].std() - 3) < 5 * 3 / math.sqrt(2 * 6000)


def test_sparse_of_all_outputs_keeps_everything_and_of_none_nothing() -> None:
    assert np.all(filled((4, 5), 'type: "gaussian" sparse: 4') != 0)
    assert np.all(filled((4, 5), 'type: "gaussian" sparse: 0') == 0)


FANS = {"FAN_IN": 32 * 25, "FAN_OUT": 64 * 25, "AVERAGE": 48 * 25}


@pytest.mark.parametrize("norm", FANS)
def test_xavier_is_uniform_of_variance_one_over_n(norm: str) -> None:
    x = filled(CONV, f'type: "xavier" variance_norm: {norm}')
    bound = math.sqrt(3 / FANS[norm])
    assert 0.999 * bound < np.abs(x).max() <= bound
    # a uniform's squares have a relative spread of √(4/5): standard error √(0.8/51200) = 0.004
    assert x.var() * FANS[norm] == pytest.approx(1, abs=5 * 0.004)


@pytest.mark.parametrize("norm", FANS)
def test_msra_is_gaussian_of_variance_two_over_n(norm: str) -> None:
    x = filled(CONV, f'type: "msra" variance_norm: {norm}')
    # a gaussian's squares have a relative spread of √2: standard error √(2/51200) = 0.0063
    assert x.var() * FANS[norm] == pytest.approx(2, abs=2 * 5 * 0.0063)
    assert np.abs(x).max() > 3.5 * x.std()  # a uniform would end at 1.73


def test_msra_for_the_prelu_behind_it_allows_for_its_slope() -> None:
    plain, sloped = filled(CONV, 'type: "msra"'), filled(CONV, 'type: "msra" alpha: 2')
    np.testing.assert_allclose(sloped, plain / math.sqrt(5), rtol=1e-6)


def test_xavier_takes_fan_in_where_nothing_is_said() -> None:
    assert np.array_equal(
        filled(CONV, 'type: "xavier"'), filled(CONV, 'type: "xavier" variance_norm: FAN_IN')
    )


def test_fans_of_a_vector() -> None:
    # one connection into each output; count out of the only input
    assert np.abs(filled((300,), 'type: "xavier"')).max() == pytest.approx(math.sqrt(3), rel=0.02)
    out = filled((300,), 'type: "xavier" variance_norm: FAN_OUT')
    assert np.abs(out).max() == pytest.approx(math.sqrt(3 / 300), rel=0.02)


def test_positive_unitball_rows_add_up_to_one() -> None:
    x = filled((5, 4, 3), 'type: "positive_unitball"')
    assert np.all(x >= 0)
    assert x.reshape(5, 12).sum(axis=1) == pytest.approx(1)
    assert len(np.unique(x)) == 60


@pytest.mark.parametrize(
    ("size", "line"),
    [
        (2, [0.5, 0.5]),  # f = 1, c = 1/2
        (3, [0.5, 1.0, 0.5]),  # f = 2, c = 1/2
        (4, [0.25, 0.75, 0.75, 0.25]),  # f = 2, c = 3/4
        (5, [1 / 3, 2 / 3, 1.0, 2 / 3, 1 / 3]),  # f = 3, c = 2/3
    ],
)
def test_bilinear_is_a_pyramid_in_every_channel(size: int, line: list[float]) -> None:
    x = filled((3, 2, size, size), 'type: "bilinear"')
    pyramid = [[a * b for b in line] for a in line]
    for kernel in x.reshape(6, size, size):
        np.testing.assert_allclose(kernel, pyramid, rtol=1e-12)


@pytest.mark.parametrize("name", FILLERS)
def test_float32_gets_the_values_of_float64(name: str) -> None:
    wide = filled((4, 3, 5, 5), f'type: "{name}"')
    narrow = filled((4, 3, 5, 5), f'type: "{name}"', np.float32)
    assert narrow.dtype == np.float32
    assert np.array_equal(narrow, wide.astype(np.float32))


def test_the_generator_decides_the_values() -> None:
    shape, rng = (10,), np.random.default_rng(7)
    first, second = np.empty(shape), np.empty(shape)
    fill(first, FillerParameter(type="msra"), rng)
    fill(second, FillerParameter(type="msra"), rng)
    assert np.array_equal(first, filled(shape, 'type: "msra"'))
    assert not np.array_equal(first, second)


@pytest.mark.parametrize("name", FILLERS)
def test_an_empty_array_is_left_alone(name: str) -> None:
    assert filled((0, 1, 3, 3), f'type: "{name}"').size == 0


@pytest.mark.parametrize(
    ("shape", "text", "words"),
    [
        (
            (3, 2),
            'type: "Xavier"',
            ['unknown filler "Xavier"', 'did you mean "xavier"?', "a.net:1:7"],
        ),
        ((3, 2), 'type: "gausian"', ['did you mean "gaussian"?', "a.net:1:7"]),
        ((3, 2), 'type: "constant" sparse: 2', ["cannot be sparse", "a.net:1:26"]),
        ((3, 2), 'type: "gaussian" sparse: 4', ["sparse is 4", "-1, or 0 to 3", "a.net:1:26"]),
        ((3, 2), 'type: "gaussian" sparse: -2', ["sparse cannot be -2"]),
        ((3, 2), 'type: "gaussian" std: -1', ["std cannot be -1", "0 or more"]),
        ((3, 2), 'type: "uniform" min: 2', ["min 2 is above max 1"]),
        ((3, 2), 'type: "bilinear"', ["cannot fill 3 x 2", "4 axes"]),
        ((3, 2, 3, 4), 'type: "bilinear"', ["cannot fill 3 x 2 x 3 x 4", "square"]),
        ((), 'type: "xavier"', ["xavier filler cannot fill a scalar"]),
        ((), 'type: "positive_unitball"', ["cannot fill a scalar"]),
    ],
)
def test_refusals(shape: tuple[int, ...], text: str, words: list[str]) -> None:
    with pytest.raises(CaffeliteError) as error:
        filled(shape, text)
    for word in words:
        assert word in str(error.value)


def test_a_layer_may_refuse_in_its_own_words() -> None:
    def fail(message: str, expected: str, hint: str | None) -> None:
        raise LookupError(f"{message}; {expected}; {hint}")

    with pytest.raises(LookupError, match=r'"msr".*xavier, msra.*mean "msra"'):
        fill(np.zeros(3), FillerParameter(type="msr"), np.random.default_rng(7), fail)


@pytest.mark.parametrize(
    ("name", "draw"),
    [
        ("uniform", lambda rng, shape: rng.uniform(0, 1, shape)),
        ("gaussian", lambda rng, shape: rng.normal(0, 1, shape)),
        ("xavier", lambda rng, shape: rng.uniform(-((3 / 500) ** 0.5), (3 / 500) ** 0.5, shape)),
        ("msra", lambda rng, shape: rng.normal(0, (2 / 500) ** 0.5, shape)),
    ],
)
def test_values_drawn_in_blocks_are_those_drawn_at_once(name: str, draw: Any) -> None:
    array = np.empty((300, 500), np.float32)
    assert array.size > 2 * BLOCK
    tracemalloc.start()
    fill(array, FillerParameter(type=name), np.random.default_rng(1))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert np.array_equal(array, draw(np.random.default_rng(1), array.shape).astype(np.float32))
    assert peak < 3 * 8 * BLOCK


def test_a_sparse_filler_draws_in_blocks_too() -> None:
    array = np.empty((300, 500), np.float32)
    tracemalloc.start()
    fill(array, FillerParameter(type="gaussian", sparse=15), np.random.default_rng(1))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    rng = np.random.default_rng(1)
    values = rng.normal(0, 1, array.shape)
    values *= rng.random(array.shape) < 15 / 300
    assert np.array_equal(array, values.astype(np.float32))
    assert peak < 3 * 8 * BLOCK
