"""The functions of pycaffe's module: where to run, chance, the log, the clock."""

from __future__ import annotations

import time
from typing import Any

from caffelite.errors import CaffeliteError, Problem
from caffelite.layers import registry
from caffelite.mode import set_device as set_device
from caffelite.mode import set_mode_cpu as set_mode_cpu
from caffelite.mode import set_mode_gpu as set_mode_gpu
from caffelite.pycaffe import glog
from caffelite.streams import set_random_seed as set_random_seed


def init_log(level: int = glog.INFO, stderr: bool = True) -> None:
    """Write log lines of this level or above: 0 information, 1 warnings, 2 errors. They go to
    standard error; with `stderr` False too, as Caffe's files of logs have no place here."""
    glog.set_level(level)


def log(text: str) -> None:
    """Write a line of information to the log."""
    glog.write(text)


def layer_type_list() -> list[str]:
    """All types of layers by name."""
    return sorted(registry)


class Timer:
    """A stop watch: `start`, `stop`, then `ms`."""

    def __init__(self) -> None:
        self._from = self._to = 0.0
        self._runs = False

    def start(self) -> None:
        """Begin to count."""
        self._from, self._runs = time.perf_counter(), True

    def stop(self) -> None:
        """The end of what is measured."""
        if self._runs:
            self._to, self._runs = time.perf_counter(), False

    @property
    def ms(self) -> float:
        """Milliseconds from `start` to `stop`, or to now while it runs."""
        return ((time.perf_counter() if self._runs else self._to) - self._from) * 1000


def has_nccl() -> bool:
    """Is there training on several GPUs through NCCL? No."""
    return False


class NCCL:
    """Several GPUs through NCCL, which there is not here: making one is refused."""

    def __init__(self, solver: Any, uid: str) -> None:
        raise _alone("NCCL")

    @staticmethod
    def new_uid() -> bytes:
        """Refused, as `has_nccl()` says."""
        raise _alone("NCCL.new_uid")


def _alone(what: str) -> CaffeliteError:
    return CaffeliteError(
        Problem(
            f"{what}: a run is one process on one device here",
            hint="caffe.has_nccl() is False; train with one solver",
        )
    )


def solver_count() -> int:
    """How many solvers train together: 1."""
    return 1


def set_solver_count(count: int) -> None:
    """1 is right; more are refused."""
    if count != 1:
        raise _alone(f"set_solver_count({count})")


def solver_rank() -> int:
    """Which of the solvers this one is: 0."""
    return 0


def set_solver_rank(rank: int) -> None:
    """0 is right; others are refused."""
    if rank != 0:
        raise _alone(f"set_solver_rank({rank})")


def set_multiprocess(several: bool) -> None:
    """False is right; True is refused."""
    if several:
        raise _alone("set_multiprocess(True)")
