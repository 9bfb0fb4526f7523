"""Scratch memory as a stack: frames within frames, and a buffer no larger than the largest need."""

from __future__ import annotations

import os

import numpy as np
import pytest

from caffelite.kernels import Workspace, parallel, shared_workspace
from caffelite.kernels.workspace import in_frame


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
    assert ws.array("kept", (5,), np.float32).ctypes.data == kept.ctypes.data


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
