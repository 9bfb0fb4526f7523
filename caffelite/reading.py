"""Reading files that may be damaged, or made to do harm.

All that is read from data, weights and snapshots has a bound, only plain files are read, and what
libraries raise becomes an error of ours with the file's name.

The bounds are far above what is usual. Who needs more raises them, for a program with
`set_limits(pixels=400_000_000)`, for a command with CAFFELITE_LIMITS="pixels=400000000" in the
environment.
"""

from __future__ import annotations

import io
import os
import stat
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from caffelite.errors import CaffeliteError, DataError, Problem, did_you_mean

LIMITS: dict[str, int] = {
    "pixels": 50_000_000,
    "unpacked": 512 << 20,
    "text": 1 << 30,
    "definition": 2 << 20,
    "fields": 300_000,
    "columns": 1_000_000,
    "objects": 100_000,
}
"""What is refused unless the bound is raised: an image of more pixels; a compressed or sparse
file, or a record, that becomes more bytes, and more than 10 times its own; a longer text file of
data, in bytes; a longer text of a net or a solver; a binary file of more fields; a table of more
columns; a file of more groups and data sets, layers or arrays."""

MAX_AXES = 32
"""As in Caffe."""
TIMES = 10

_given: dict[str, int] = {}


def set_limits(**limits: int) -> None:
    """Set bounds of `LIMITS` for the rest of the program."""
    for name, value in limits.items():
        if name not in LIMITS:
            raise TypeError(f'no limit "{name}"; there are {", ".join(LIMITS)}')
        if value < 1:
            raise ValueError(f"the limit {name} must be 1 or more, not {value}")
    _given.update(limits)


def limit(name: str) -> int:
    """A bound: what `set_limits` has set, else what CAFFELITE_LIMITS says, else the usual one."""
    if name in _given:
        return _given[name]
    return _from_environment().get(name, LIMITS[name])


def _from_environment() -> dict[str, int]:
    found = {}
    for word in os.environ.get("CAFFELITE_LIMITS", "").replace(",", " ").split():
        name, _, value = word.partition("=")
        try:
            found[name] = int(float(value)) if len(value) <= 20 else 0
        except (ValueError, OverflowError):
            found[name] = 0
        if name not in LIMITS or found[name] < 1:
            raise CaffeliteError(
                Problem(
                    f'"{word}" in CAFFELITE_LIMITS is no limit',
                    expected=f"as in pixels=400000000; there are {', '.join(LIMITS)}",
                    hint=did_you_mean(name, LIMITS),
                )
            )
    return found


def check_limit(name: str, found: int, what: str, error: type[CaffeliteError] = DataError) -> None:
    """Refuse `what`, of which there are `found`, if that is over the bound `name`."""
    if found > limit(name):
        raise _over(name, found, limit(name), what, error)


def check_unpacked(
    size: int, stored: int, what: str, error: type[CaffeliteError] = DataError
) -> None:
    """Refuse what would take `size` bytes in memory, and has `stored` bytes in the file."""
    if size > max(limit("unpacked"), TIMES * stored):
        raise _over("unpacked", size, max(limit("unpacked"), TIMES * stored), what, error)


def _over(
    name: str, found: int, bound: int, what: str, error: type[CaffeliteError]
) -> CaffeliteError:
    unit = "bytes" if name in ("unpacked", "text", "definition") else name
    found_text = f"{found:,}" if found < 10**18 else f"{float(min(found, 10**300)):.3g}"
    raised = error(
        Problem(
            f"{what} has {found_text} {unit}",
            expected=f"at most {bound:,}",
            hint=f"if it is meant, raise the bound: CAFFELITE_LIMITS={name}={found} in the "
            f"environment, or caffelite.reading.set_limits({name}={found}) in Python",
        )
    )
    raised.over_limit = True
    return raised


def shown(text: object, most: int = 200) -> str:
    """Words that come from a file or a library, for an error: one line, no control characters."""
    words = str(text)[: most + 1]
    words = "".join(c if c.isprintable() else " " for c in words)
    return words if len(words) <= most else words[:most] + "..."


FOREIGN: tuple[type[Exception], ...] = (
    OSError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    RuntimeError,
    EOFError,
    SyntaxError,
    struct.error,
    zlib.error,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
)
"""What libraries raise of damaged files."""


@contextmanager
def reading(
    name: str,
    what: str = "",
    error: type[CaffeliteError] = DataError,
    also: tuple[type[Exception], ...] = (),
) -> Iterator[None]:
    """Whatever a library raises of the file that errors call `name` becomes an `error`: it is
    missing, cannot be read, or is damaged and not `what`. `also`: exceptions of its own."""
    try:
        yield
    except CaffeliteError:
        raise
    except FileNotFoundError:
        raise error(f"{name}: no such file") from None
    except MemoryError:
        raise error(f"{name} needs more memory than there is") from None
    except OSError as problem:
        reason = problem.strerror or problem
        raise error(f"{name} cannot be read{_as(what)}: {shown(reason)}") from None
    except (*FOREIGN, *also) as problem:
        reason = str(problem) or type(problem).__name__
        raise error(f"{name} is damaged, or not {what or 'complete'}: {shown(reason)}") from None


def _as(what: str) -> str:
    return f" as {what}" if what else ""


@contextmanager
def plain_file(
    path: str | os.PathLike[str], what: str = "", error: type[CaffeliteError] = DataError
) -> Iterator[BinaryIO]:
    """A file, open for reading; a pipe or a device, which may have no end, is refused. Errors are
    as those of `reading`."""
    with reading(f'"{os.fspath(path)}"', what, error):
        # not blocked by a pipe that nobody writes to
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        number = os.open(path, flags)
        try:
            refuse_special(os.fstat(number).st_mode, path, error)
            file = os.fdopen(number, "rb")
        except BaseException:
            os.close(number)
            raise
        with file:
            yield file


def check_plain(path: str | os.PathLike[str], error: type[CaffeliteError] = DataError) -> int:
    """The size of a plain file that a library is going to open; all else is refused."""
    with reading(f'"{os.fspath(path)}"', error=error):
        found = os.stat(path)
        refuse_special(found.st_mode, path, error)
    return found.st_size


def refuse_special(
    mode: int, path: str | os.PathLike[str], error: type[CaffeliteError] = DataError
) -> None:
    """Refuse what is no plain file."""
    kinds = [
        (stat.S_ISDIR, "a folder"),
        (stat.S_ISFIFO, "a pipe"),
        (stat.S_ISCHR, "a device"),
        (stat.S_ISBLK, "a device"),
        (stat.S_ISSOCK, "a socket"),
    ]
    for is_kind, name in kinds:
        if is_kind(mode):
            raise error(Problem(f'"{os.fspath(path)}" is {name}', expected="a file"))


def size_of(file: BinaryIO) -> int:
    """The bytes of an open file, or of what stands for one in memory."""
    if isinstance(file, io.BytesIO):
        return file.getbuffer().nbytes
    return os.fstat(file.fileno()).st_size


def read_text(path: str, what: str) -> str:
    """All of a text file, in UTF-8 as far as it goes. Raises DataError."""
    with plain_file(path, what) as file:
        check_limit("text", size_of(file), f'"{path}"')
        return file.read().decode("utf-8-sig", errors="surrogateescape")
