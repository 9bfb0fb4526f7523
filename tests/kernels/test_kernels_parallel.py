"""Threads for parts of an array's work: all parts done, errors raised, the same results."""

from __future__ import annotations

import io
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


class Blas:
    """A library of matrix products that notes what it is told."""

    def __init__(self, threads: int) -> None:
        self.threads, self.told = threads, list[int]()

    def get_num_threads(self) -> int:
        return self.threads

    def set_num_threads(self, threads: int) -> None:
        self.threads = threads
        self.told.append(threads)


@pytest.fixture
def blas(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Libraries with several threads and with one."""
    libraries = [Blas(4), Blas(1), Blas(2)]
    monkeypatch.setattr(parallel._state, "_libraries", libraries)
    return libraries


def test_blas_alone_is_nested_and_gives_back(blas: list[Any]) -> None:
    with parallel.blas_alone():
        with parallel.blas_alone():
            assert [lib.threads for lib in blas] == [1, 1, 1]
        assert [lib.threads for lib in blas] == [1, 1, 1]
    assert [lib.told for lib in blas] == [[1, 4], [], [1, 2]]
    with pytest.raises(ValueError), parallel.blas_alone():
        raise ValueError
    assert [lib.threads for lib in blas] == [4, 1, 2]


@pytest.mark.parametrize("threads", [1, 2])
def test_large_work_has_blas_on_one_thread(threads: int, blas: list[Any]) -> None:
    parallel.set_threads(threads)
    seen: list[int] = []
    parallel.run(lambda _: seen.append(blas[0].threads), range(3), large=False)
    assert seen == [4, 4, 4]
    parallel.run(lambda _: seen.append(blas[0].threads), range(3))
    assert seen[3:] == [1, 1, 1]
    assert blas[0].threads == 4


def test_the_libraries_are_looked_for_once() -> None:
    assert parallel._state.libraries() is parallel._state.libraries()


@pytest.mark.parametrize(
    ("threads", "parts", "helpers"), [(3, 8, [2]), (3, 2, [1]), (2, 1, []), (1, 8, []), (4, 0, [])]
)
def test_so_many_helpers_are_asked(
    threads: int, parts: int, helpers: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Pool:
        def put(self, _: object, count: int) -> None:
            asked.append(count)

    asked: list[int] = []
    monkeypatch.setattr(parallel._state, "_pool", Pool())
    parallel.set_threads(threads)
    done: list[int] = []
    parallel.run(done.append, range(parts))
    assert asked == helpers
    assert done == list(range(parts))


def test_a_pool_grows_to_the_helpers_that_are_asked() -> None:
    pool, meet = parallel._Pool(), threading.Barrier(4, timeout=20)
    before = set(threading.enumerate())
    for helpers in (1, 3, 2):
        pool.put(parallel._Job(lambda _: None, ()), helpers)
    assert pool.size == 3
    new = set(threading.enumerate()) - before
    assert len(new) == 3 and all(thread.daemon for thread in new)
    job = parallel._Job(lambda _: meet.wait(), range(4))
    pool.put(job, 3)
    job.work()  # would time out with fewer threads
    job.wait()


def test_no_parts_are_begun_after_an_error() -> None:
    parallel.set_threads(2)
    meet, begun = threading.Barrier(2, timeout=20), set[int]()

    def part(number: int) -> None:
        begun.add(number)
        meet.wait()
        raise ValueError(number)

    with pytest.raises(ValueError, match="0"):  # of the first part, whoever fails first
        parallel.run(part, range(10))
    assert begun == {0, 1}


def test_a_child_forked_from_within_a_run_has_blas_as_it_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    state, lib = parallel._State(), Blas(4)
    state._libraries = [lib]
    monkeypatch.setattr(parallel, "_state", state)
    monkeypatch.setattr(parallel._here, "inside", False)
    with parallel.blas_alone():
        parallel._here.inside = True
        assert lib.threads == 1
        parallel._after_fork()  # as the child does
        assert lib.threads == 4 and not parallel._here.inside
        assert state.alone == 0 and state._pool is None and state._libraries is None
        state.alone = 1  # the parent's end of the block, which a child may come to, too
        state.before = []
    lib.told.clear()
    parallel._after_fork()
    assert not lib.told


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
    for cores in ({0, 3, 5}, {2}):
        monkeypatch.setattr(os, "sched_getaffinity", {0: cores}.__getitem__, raising=False)
        assert parallel._cores() == len(cores)
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 7)
    assert parallel._cores() == 7
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert parallel._cores() == 1


@pytest.mark.parametrize(
    ("average", "now", "load"),
    [(3.5, "0.1 0.2 0.3 3/99 7", 2), (0.5, "0.1 0.2 0.3 9/99 7", 0.5), (1.5, "nothing", 1.5)],
)
def test_the_load_is_what_others_keep_at_work(
    average: float, now: str, load: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "getloadavg", lambda: (average, 50.0, 60.0), raising=False)
    monkeypatch.setattr("builtins.open", lambda *_, **__: io.StringIO(now))
    assert parallel._load() == load


def test_a_system_that_does_not_tell_has_no_load(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown() -> None:
        raise OSError

    monkeypatch.setattr(os, "getloadavg", unknown, raising=False)
    assert parallel._load() == 0.0
    monkeypatch.delattr(os, "getloadavg")
    assert parallel._load() == 0.0


def test_slices_have_no_overlap_and_no_gap() -> None:
    assert parallel.slices(7, 3) == [slice(0, 3), slice(3, 6), slice(6, 7)]
    assert parallel.slices(2, 1) == parallel.slices(2, 0) == [slice(0, 1), slice(1, 2)]
    assert parallel.slices(0, 3) == []
