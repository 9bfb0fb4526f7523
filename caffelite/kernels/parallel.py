"""Both cores: a small pool of threads that works through the parts of an array's work.

    def part(rows: slice) -> None:
        np.maximum(x[rows], 0, out=y[rows])

    parallel.run(part, parallel.slices(len(x), 8))

NumPy lets other threads run while it works on an array, so parts of some ten thousand values or
more run side by side. Parts are cut by the caller, by size and not by the number of threads, and
write to places of their own: results are then the same with any number of threads. Who takes which
part is left to chance, so that a thread whose core is busy with something else takes fewer.

Meanwhile matrix products run on one thread each (`blas_alone`): threads of BLAS that wait for each
other on a busy machine cost more than they bring.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any, TypeVar

from threadpoolctl import ThreadpoolController

from caffelite.errors import CaffeliteError, Problem
from caffelite.kernels.workspace import Array, Borrowed, shared_workspace

P = TypeVar("P")

VARIABLE = "CAFFELITE_THREADS"


def threads() -> int:
    """How many threads `run` uses, the calling one included. Chosen at the first call."""
    if _state.threads is None:
        _state.threads = _from_environment() or choose(_cores(), _load())
    return _state.threads


def set_threads(n: int | None) -> None:
    """Use `n` threads from now on; None: choose again, as at the start."""
    if n is not None and n < 1:
        raise CaffeliteError(Problem(f"the number of threads is {n}", expected="1 or more"))
    _state.threads = n


def choose(cores: int, load: float) -> int:
    """The number of threads for so many cores, `load` of which are at work already: all, or one
    where half of them or more are taken."""
    return 1 if load >= cores / 2 else cores


def run(function: Callable[[P], Any], parts: Sequence[P], large: bool = True) -> None:
    """Call function(part) for every part, side by side where that can be.

    Each part has its scratch memory (`shared_workspace`) to itself.

    Serially for work that is not `large`, with one thread, for one part, and from within a part of
    another `run`. Where a call raises, no new parts are begun, and the exception of the first such
    part is raised here.
    """
    if not large or _here.inside:
        _serially(function, parts)
        return
    helpers = min(threads(), len(parts)) - 1
    if helpers < 1:
        with blas_alone():
            _serially(function, parts)
        return
    job = _Job(function, parts, _here.lent[1:])
    with blas_alone():
        _state.pool(helpers).put(job, helpers)
        job.work()
        job.wait()


class Lent:
    """Scratch lies in these arrays of bytes meanwhile, as far as there is room: the first is for
    this thread, each other one for a thread that helps it."""

    __slots__ = ("before", "frame", "pieces")

    def __init__(self, pieces: Sequence[Array]) -> None:
        self.pieces, self.before = pieces, _here.lent
        self.frame = Borrowed(shared_workspace(), pieces[0])

    def __enter__(self) -> None:
        self.before, _here.lent = _here.lent, self.pieces
        self.frame.__enter__()

    def __exit__(self, *failure: object) -> None:
        self.frame.__exit__()
        _here.lent = self.before


def _serially(function: Callable[[P], Any], parts: Sequence[P]) -> None:
    workspace = shared_workspace()
    for part in parts:
        with workspace:
            function(part)


@contextmanager
def blas_alone() -> Iterator[None]:
    """One thread for each matrix product meanwhile, whatever BLAS was set to. Can be nested."""
    with _state.lock:
        _state.alone += 1
        if _state.alone == 1:
            _state.before = [(lib, lib.get_num_threads()) for lib in _state.libraries()]
            for lib, count in _state.before:
                if count != 1:
                    lib.set_num_threads(1)
    try:
        yield
    finally:
        with _state.lock:
            _state.alone -= 1
            if not _state.alone:
                for lib, count in _state.before:
                    if count != 1:
                        lib.set_num_threads(count)


def slices(total: int, step: int) -> list[slice]:
    """0 … total cut into slices of `step`, the last one shorter."""
    step = max(1, step)
    return [slice(first, min(first + step, total)) for first in range(0, total, step)]


class _Job:
    """One `run`: whoever has time takes the next part."""

    def __init__(
        self, function: Callable[[Any], Any], parts: Sequence[Any], scratch: Sequence[Array] = ()
    ) -> None:
        self.function, self.parts = function, parts
        self.scratch = list(scratch)  # one for each helper
        self.numbers = itertools.count()  # drawing a number cannot be interrupted
        self.left = len(parts)
        self.lock = threading.Lock()
        self.done = threading.Event()
        self.errors: list[tuple[int, BaseException]] = []

    def work(self) -> None:
        _here.inside, workspace = True, shared_workspace()
        try:
            while (number := next(self.numbers)) < len(self.parts):
                try:
                    if not self.errors:
                        with workspace:
                            self.function(self.parts[number])
                except BaseException as error:
                    self.errors.append((number, error))
                with self.lock:
                    self.left -= 1
                    if not self.left:
                        self.done.set()
        finally:
            _here.inside = False

    def help(self) -> None:
        """`work` of another thread than the one that waits."""
        try:
            piece = self.scratch.pop()  # cannot be interrupted either
        except IndexError:
            self.work()
            return
        with Borrowed(shared_workspace(), piece):
            self.work()

    def wait(self) -> None:
        self.done.wait()
        if self.errors:
            raise min(self.errors, key=lambda pair: pair[0])[1]


class _Pool:
    """Threads that wait for jobs. They end with the process."""

    def __init__(self) -> None:
        self.jobs: SimpleQueue[_Job] = SimpleQueue()
        self.size = 0

    def put(self, job: _Job, helpers: int) -> None:
        while self.size < helpers:
            self.size += 1
            name = f"caffelite-{self.size}"
            threading.Thread(target=self._serve, name=name, daemon=True).start()
        for _ in range(helpers):
            self.jobs.put(job)

    def _serve(self) -> None:
        while True:
            self.jobs.get().help()


class _Here(threading.local):
    inside = False
    """Is this thread at work on a part?"""
    lent: Sequence[Array] = ()
    """Scratch for this thread and for those that help it."""


class _State:
    """What this process has decided and started."""

    def __init__(self) -> None:
        self.threads: int | None = None
        self.start()

    def start(self) -> None:
        """Also for a child after `os.fork`: it has none of its parent's threads."""
        self.lock = threading.RLock()
        self.alone = 0
        self.before: list[tuple[Any, int]] = []
        self._pool: _Pool | None = None
        self._libraries: list[Any] | None = None

    def pool(self, helpers: int) -> _Pool:
        if self._pool is None:
            self._pool = _Pool()
        return self._pool

    def libraries(self) -> list[Any]:
        """The libraries of matrix products. Their list takes milliseconds to make."""
        if self._libraries is None:
            found = ThreadpoolController().select(user_api="blas")
            self._libraries = list(found.lib_controllers)
        return self._libraries


_here = _Here()
_state = _State()


def _after_fork() -> None:
    before = _state.before if _state.alone else []
    _state.start()
    _here.inside = False
    for lib, count in before:  # forked in the middle of a `run`
        lib.set_num_threads(count)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _from_environment() -> int | None:
    text = os.environ.get(VARIABLE, "")
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and int(text)):
        raise CaffeliteError(
            Problem(f"{VARIABLE} is {text!r}", expected="a number of threads, 1 or more")
        )
    return int(text)


def _cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


def _load() -> float:
    """How many cores other processes keep at work, over the last minute and (on Linux) now: the
    smaller of the two, since the average still has in it what has just ended."""
    if not hasattr(os, "getloadavg"):
        return 0.0
    try:
        average: float = os.getloadavg()[0]
    except OSError:
        return 0.0
    try:
        with open("/proc/loadavg", encoding="ascii") as file:
            others = int(file.read().split()[3].split("/")[0]) - 1
    except (OSError, ValueError, IndexError):
        return average
    return min(average, others)
