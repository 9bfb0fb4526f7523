"""Threads for parts of an array's work: all parts done, errors raised, the same results."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from caffelite import kernels
from caffelite.errors import CaffeliteError
from caffelite.kernels import Window, parallel


@pytest.fixture(autouse=True)
def threads_as_chosen() -> Iterator[None]:
    yield
    parallel.set_threads(None)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_every_part_is_done_once(threads: int) -> None:
    parallel.set_threads(threads)
    done: list[int] = []
    parallel.run(done.append, range(50))
    assert sorted(done) == list(range(50))
    parallel.run(done.append, [])
    assert len(done) == 50


def test_two_threads_work_side_by_side() -> None:
    parallel.set_threads(2)
    meet = threading.Barrier(2, timeout=20)
    parallel.run(lambda _: meet.wait(), range(2))  # would time out in one thread


@pytest.mark.parametrize("threads", [1, 2])
def test_an_exception_reaches_the_caller(threads: int) -> None:
    parallel.set_threads(threads)

    def part(number: int) -> None:
        if number == 3:
            raise ValueError("part 3")

    with pytest.raises(ValueError, match="part 3"):
        parallel.run(part, range(8))
    done: list[int] = []
    parallel.run(done.append, range(4))  # the pool is none the worse for it
    assert sorted(done) == [0, 1, 2, 3]


def test_the_exception_of_a_helper_reaches_the_caller() -> None:
    parallel.set_threads(2)
    caller, meet = threading.get_ident(), threading.Barrier(2, timeout=20)

    def part(number: int) -> None:
        meet.wait()
        if threading.get_ident() != caller:
            raise KeyError("helper")

    with pytest.raises(KeyError, match="helper"):
        parallel.run(part, range(2))


def test_a_run_within_a_part_is_serial() -> None:
    parallel.set_threads(2)
    inner: list[tuple[int, int]] = []

    def part(number: int) -> None:
        here = threading.get_ident()
        parallel.run(lambda _: inner.append((here, threading.get_ident())), range(3))

    parallel.run(part, range(4))
    assert len(inner) == 12
    assert all(outer == own for outer, own in inner)


def test_work_that_is_not_large_stays_in_its_thread() -> None:
    parallel.set_threads(2)
    who: set[int] = set()
    parallel.run(lambda _: who.add(threading.get_ident()), range(20), large=False)
    assert who == {threading.get_ident()}


def test_blas_alone_is_nested_and_gives_back() -> None:
    libraries = parallel._state.libraries()
    before = [lib.get_num_threads() for lib in libraries]
    with parallel.blas_alone():
        with parallel.blas_alone():
            assert {lib.get_num_threads() for lib in libraries} <= {1}
        assert {lib.get_num_threads() for lib in libraries} <= {1}
    assert [lib.get_num_threads() for lib in libraries] == before


@pytest.mark.parametrize(
    ("cores", "load", "expected"),
    [(1, 0.0, 1), (2, 0.0, 2), (2, 0.4, 2), (2, 1.0, 1), (16, 3.0, 16), (16, 8.0, 1), (1, 9.0, 1)],
)
def test_a_loaded_machine_gets_one_thread(cores: int, load: float, expected: int) -> None:
    assert parallel.choose(cores, load) == expected


def test_the_choice_is_made_once_from_cores_and_load(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(parallel.VARIABLE, raising=False)
    monkeypatch.setattr(parallel, "_cores", lambda: 4)
    monkeypatch.setattr(parallel, "_load", lambda: 3.0)
    parallel.set_threads(None)
    assert parallel.threads() == 1
    monkeypatch.setattr(parallel, "_load", lambda: 0.0)
    assert parallel.threads() == 1
    parallel.set_threads(None)
    assert parallel.threads() == 4


def test_the_environment_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(parallel.VARIABLE, "3")
    parallel.set_threads(None)
    assert parallel.threads() == 3
    for wrong in ("0", "many", "-1", "1.5"):
        monkeypatch.setenv(parallel.VARIABLE, wrong)
        parallel.set_threads(None)
        with pytest.raises(CaffeliteError, match=parallel.VARIABLE):
            parallel.threads()
    with pytest.raises(CaffeliteError):
        parallel.set_threads(0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_has_a_pool_of_its_own() -> None:
    parallel.set_threads(2)
    parallel.run(lambda _: None, range(4))  # the parent's threads are there
    child = os.fork()
    if not child:
        done: list[int] = []
        parallel.run(done.append, range(4))
        os._exit(0 if sorted(done) == [0, 1, 2, 3] else 1)
    deadline = time.monotonic() + 20
    while (ended := os.waitpid(child, os.WNOHANG)) == (0, 0) and time.monotonic() < deadline:
        time.sleep(0.01)
    if ended == (0, 0):
        os.kill(child, 9)
        os.waitpid(child, 0)
        pytest.fail("the child hangs")
    assert os.waitstatus_to_exitcode(ended[1]) == 0


def convolution(threads: int, group: int) -> list[Any]:
    parallel.set_threads(threads)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((20, 16, 16, 16), dtype=np.float32)
    weights = rng.standard_normal((16, 16 // group, 5, 5), dtype=np.float32)
    dout = rng.standard_normal((20, 16, 16, 16), dtype=np.float32)
    out, dx, dweights = np.zeros_like(dout), np.zeros_like(x), np.zeros_like(weights)
    dbias = np.zeros(16, np.float32)
    window = Window.of((5, 5), pad=2)
    kernels.conv_forward(x, weights, dbias, out, window, group)
    kernels.conv_backward_data(dout, weights, dx, window, group)
    kernels.conv_backward_weights(x, dout, dweights, window, group)
    kernels.conv_backward_bias(dout, dbias)
    return [out, dx, dweights, dbias]


@pytest.mark.parametrize("group", [1, 2, 16])
def test_results_do_not_depend_on_threads(group: int) -> None:
    alone = convolution(1, group)
    for threads in (2, 2, 3):
        for found, expected in zip(convolution(threads, group), alone, strict=True):
            np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("fresh", [False, True])
def test_products_in_blocks(fresh: bool) -> None:
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((300, 40)), rng.standard_normal((40, 2000))
    found = []
    for threads in (1, 2):
        parallel.set_threads(threads)
        out, added = np.full((300, 2000), np.nan), np.full((300, 2000), 1.0)
        kernels.product(a, b, out)
        kernels.add_product(a, b, added, fresh)
        np.testing.assert_allclose(out, a @ b)
        np.testing.assert_allclose(added, a @ b + (0 if fresh else 1))
        found.append((out, added))
    for one, two in zip(*found, strict=True):
        np.testing.assert_array_equal(one, two)


def test_the_cores_are_those_that_this_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 3, 5}, raising=False)
    assert parallel._cores() == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 7)
    assert parallel._cores() == 7
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert parallel._cores() == 1
