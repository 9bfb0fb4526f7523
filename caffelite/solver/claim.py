"""One run, one prefix: two runs that write snapshots under the same names would mix them.

While a run lasts, a lock is held on the file .PREFIX.lock beside its snapshots. The system lets go
of it when the process ends, however it ends. Where files cannot be locked, nothing is.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import time
from collections.abc import Iterator

from caffelite import snapshot
from caffelite.errors import Problem, SolverError
from caffelite.schema.solver import SolverParameter

POSIX = os.name == "posix"
"""Can an open file be removed? On Windows it cannot."""


@contextlib.contextmanager
def claimed(param: SolverParameter, solver_path: str) -> Iterator[None]:
    """Claim the snapshots' names for one run, and remove what killed runs have left half written.
    Raises SolverError if another run has them."""
    if not snapshot.writes(param):
        yield
        return
    start, _ = snapshot.prefix(param, solver_path)
    folder, name = os.path.split(start)
    path = os.path.join(folder, f".{name}.lock")
    number = _open_locked(path, start, param)
    try:
        if number is not None:
            remove_parts(folder, name)
        yield
    finally:
        if number is not None:
            _let_go(number, path)


def remove_parts(folder: str, name: str) -> None:
    """Remove the unfinished files of snapshots whose names start with `name`."""
    part = re.compile(
        rf"\.{re.escape(name)}_(iter_\d+|best)\.(caffemodel|solverstate)(\.h5)?\.[0-9a-f]{{8}}\.part"
    )
    with contextlib.suppress(OSError):
        for found in os.listdir(folder or "."):
            if part.fullmatch(found):
                os.unlink(os.path.join(folder, found))


def _open_locked(path: str, start: str, param: SolverParameter) -> int | None:
    """The lock's file, open and locked; None where that cannot be done."""
    while True:
        try:
            number = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError:
            return None
        try:
            locked = _lock(number)
        except OSError:
            os.close(number)
            return None
        if not locked:
            holder = _read(number)
            os.close(number)
            raise SolverError(
                Problem(
                    f"another run{holder} writes its snapshots to {start}_iter_*",
                    param.span("snapshot_prefix"),
                    "a snapshot_prefix of its own for each run",
                    "or wait until the other one has ended",
                )
            )
        if _is_at(number, path):
            break
        os.close(number)  # a run that has ended has just removed it
    with contextlib.suppress(OSError):
        os.ftruncate(number, 0)
        when = time.strftime("%Y-%m-%d %H:%M:%S")
        os.write(number, f" (process {os.getpid()} on {socket.gethostname()}, {when})".encode())
    return number


def _read(number: int) -> str:
    try:
        words = os.read(number, 200)
    except OSError:
        words = b""
    text = words.decode("ascii", "replace")
    return text if text.isprintable() else ""


def _is_at(number: int, path: str) -> bool:
    """Is the open file still the one that stands at this path?"""
    if not POSIX:
        return True
    try:
        mine, there = os.fstat(number), os.stat(path)
    except OSError:
        return False
    return (mine.st_dev, mine.st_ino) == (there.st_dev, there.st_ino)


def _lock(number: int) -> bool:
    """Lock an open file; False if another process has done so. OSError: it cannot be locked."""
    try:
        import fcntl
    except ImportError:
        return _lock_on_windows(number)
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _lock_on_windows(number: int) -> bool:
    import msvcrt
    from typing import Any, cast

    system = cast(Any, msvcrt)  # has these on Windows only
    os.lseek(number, 1 << 20, os.SEEK_SET)  # behind the text, which others may read then
    try:
        system.locking(number, system.LK_NBLCK, 1)
    except OSError:
        return False
    finally:
        os.lseek(number, 0, os.SEEK_SET)
    return True


def _let_go(number: int, path: str) -> None:
    with contextlib.suppress(OSError):
        if POSIX:  # while it is locked, so that nobody else's is removed
            os.unlink(path)
    os.close(number)
    with contextlib.suppress(OSError):
        if not POSIX:
            os.unlink(path)
