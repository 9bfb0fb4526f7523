"""Scratch memory as a stack: frames within frames, and a buffer no larger than the largest need."""

from __future__ import annotations

import mmap
import os
import threading
import tracemalloc
from typing import Any

import numpy as np
import pytest

from caffelite.kernels import Workspace, parallel, shared_workspace, workspace
from caffelite.kernels.workspace import Borrowed, in_frame, rectify


def test_arrays_of_a_frame_have_no_memory_in_common() -> None:
    ws = Workspace()
    for _ in range(2):  # the second time from the buffer
        with ws:
            first = ws.array("first", (7, 5), np.float32)
            with ws:
                inner = ws.array("first", (100,), np.float64)
                inner.fill(3)
            second = ws.array("second", (300,), np.uint8)
            assert ws.array("first", (2, 5), np.float32).ctypes.data == first.ctypes.data
            assert not np.may_share_memory(first, second)
            first.fill(1)
            second.fill(2)
            assert (first == 1).all()
    assert first.ctypes.data % 64 == second.ctypes.data % 64 == 0


def test_the_buffer_holds_the_largest_need_not_the_sum() -> None:
    ws = Workspace()
    for size in (1000, 64000, 32000):
        with ws:
            ws.array(f"of {size}", (size,), np.uint8)
    assert ws.nbytes == 64000
    held = ws.nbytes
    with ws:
        ws.array("a", (32000,), np.uint8)
        with ws:
            ws.array("b", (32000,), np.uint8)
    assert ws.nbytes == held


def test_a_frame_that_fails_is_left() -> None:
    ws = Workspace()

    def fails() -> None:
        with ws:
            ws.array("a", (640,), np.uint8)
            raise ValueError

    for _ in range(3):
        with pytest.raises(ValueError):
            fails()
    assert ws.nbytes == 640


def test_outside_of_frames_a_name_keeps_its_buffer() -> None:
    ws = Workspace()
    kept = ws.array("kept", (10,), np.float32)
    kept.fill(4)
    with ws:
        ws.array("kept", (10,), np.float32).fill(5)
    assert (kept == 4).all()
    for size in (5, 10):
        assert ws.array("kept", (size,), np.float32).ctypes.data == kept.ctypes.data
    held = ws.nbytes
    assert held == kept.nbytes + 64  # of the frame
    ws.array("other", (7,), np.uint8)
    assert ws.nbytes == held + 7


def test_growing_never_holds_both() -> None:
    ws = Workspace()
    tracemalloc.start()
    try:
        ws.array("a", (1 << 20,), np.uint8)
        ws.array("a", (2 << 20,), np.uint8)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2.5 * (1 << 20)


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of what is taken from the system."""
    sizes: list[int] = []

    def pages(size: int) -> Any:
        sizes.extend([size] if size else [])
        return np.empty(size, np.uint8)

    monkeypatch.setattr(workspace, "_pages", pages)
    monkeypatch.setattr(workspace, "RESERVED", 1024)
    return sizes


def test_memory_is_taken_once_for_all_frames(taken: list[int]) -> None:
    ws = Workspace()
    for sizes in ((64,), (960,), (512, 512), (1024,), (10, 10, 10)):
        with ws as frame:
            for number, size in enumerate(sizes):
                a = frame.array(str(number), (size,), np.uint8)
                assert frame.array(str(number), (size,), np.uint8).ctypes.data == a.ctypes.data
    assert taken == [1024]


def test_more_than_is_reserved_is_taken_once_it_is_known(taken: list[int]) -> None:
    ws = Workspace()
    for _ in range(2):
        with ws:
            first = ws.array("first", (1000,), np.uint8)
            second = ws.array("second", (1500,), np.uint8)
            with ws:
                third = ws.array("third", (64,), np.uint8)
            for number, array in enumerate((first, second, third)):
                array.fill(number)
            assert set(first) == {0} and set(second) == {1} and set(third) == {2}
    assert taken == [1024, 1500, 64, 1024 + 1536 + 64]
    with ws:
        ws.array("huge", (5000,), np.uint8)
    assert taken[4:] == [5056]  # a multiple of 64


def test_systems_without_private_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(mmap, "MAP_PRIVATE", raising=False)
    pages = workspace._pages(100)
    pages.fill(7)
    assert pages.size == 100 and pages.dtype == np.uint8


def test_rectifying_needs_one_row() -> None:
    x, ws = np.arange(-30.0, 30).reshape(5, 4, 3), Workspace()
    out = np.full_like(x, np.nan)
    rectify(x, ws, out)
    assert np.array_equal(out, np.maximum(x, 0)) and x.min() == -30
    rectify(x, ws)
    assert np.array_equal(x, out)
    assert ws.nbytes == 3 * 8


def test_parts_have_scratch_of_their_own() -> None:
    @in_frame
    def kernel() -> list[bool]:
        outer = shared_workspace().array("filters", (64,), np.float32)
        outer.fill(1)
        right = []

        def part(number: int) -> None:
            mine = shared_workspace().array("filters", (1000 + number,), np.float32)
            mine.fill(number)
            right.append(bool((mine == number).all()))

        parallel.run(part, range(20))
        return [*right, bool((outer == 1).all())]

    try:
        for threads in (1, 3):
            parallel.set_threads(threads)
            assert all(kernel() + kernel())
    finally:
        parallel.set_threads(None)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_child_does_not_write_into_its_parents_scratch() -> None:
    ws = Workspace()
    with ws:
        ws.array("a", (4096,), np.uint8)
    with ws:
        mine = ws.array("a", (4096,), np.uint8)
        mine.fill(1)
        child = os.fork()
        if not child:
            mine.fill(2)
            os._exit(0)
        os.waitpid(child, 0)
        assert (mine == 1).all()


def test_frames_lie_in_lent_memory_as_far_as_there_is_room() -> None:
    ws, memory = Workspace(), np.zeros(256, np.uint8)
    with Borrowed(ws, memory):
        for _ in range(2):  # a frame gives its room back
            with ws:
                inside = ws.array("a", (100,), np.uint8)
                beyond = ws.array("b", (200,), np.uint8)
                last = ws.array("c", (128,), np.uint8)
                assert np.may_share_memory(inside, memory) and np.may_share_memory(last, memory)
                assert not np.may_share_memory(inside, last)
                assert not np.may_share_memory(beyond, memory)
    assert ws.nbytes == 256  # of its own: what had no room
    with ws:
        assert not np.may_share_memory(ws.array("a", (10,), np.uint8), memory)


def test_each_thread_has_its_piece_of_what_is_lent() -> None:
    parallel.set_threads(2)
    try:
        pieces = [np.zeros(1024, np.uint8) for _ in range(2)]
        meet = threading.Barrier(2, timeout=20)

        def part(number: int) -> None:
            shared_workspace().array("x", (64,), np.uint8).fill(1 + number)
            meet.wait()

        with parallel.Lent(pieces):
            parallel.run(part, range(2))
        assert sorted(int(piece[0]) for piece in pieces) == [1, 2]
        parallel.run(part, range(2))  # nothing is lent any more
        assert sorted(int(piece[0]) for piece in pieces) == [1, 2]
        assert not any(piece[64:].any() for piece in pieces)
    finally:
        parallel.set_threads(None)
