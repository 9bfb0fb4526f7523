"""Running a script of Caffe's users as it is: `import caffe` in it means `caffelite.pycaffe`."""

from __future__ import annotations

import os
import runpy
import sys
import sysconfig
import tokenize
import traceback
from collections.abc import Sequence
from types import TracebackType

from caffelite.errors import CaffeliteError, Problem, Source, Span
from caffelite.pycaffe import hook
from caffelite.pycaffe.reasons import reason

OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
LIBRARIES = tuple(sysconfig.get_path(name) + os.sep for name in ("stdlib", "purelib", "platlib"))
"""Folders of code that is nobody's here."""


def run_script(path: str, args: Sequence[str]) -> None:
    """Run a Python file as Python does, with these arguments and the hook installed.

    What it raises passes, but for causes that are known (`reasons`): these become a CaffeliteError
    that says what to change."""
    if not os.path.isfile(path):
        raise CaffeliteError(Problem(f"{path}: there is no such script"))
    hook.install()
    sys.argv = [path, *args]
    sys.path.insert(0, os.path.dirname(os.path.abspath(path)))
    try:
        runpy.run_path(path, run_name="__main__")
    except CaffeliteError:
        raise
    except Exception as error:
        problem = explained(error, path)
        if problem is None:
            raise
        raise CaffeliteError(problem) from error


def explained(error: Exception, path: str) -> Problem | None:
    """A known cause, with its place in the user's code."""
    frames = [f for f in user_frames(error.__traceback__) if not _of_library(f.filename)]
    file, number = (frames[-1].filename, frames[-1].lineno or 1) if frames else (path, 1)
    col = 0
    if isinstance(error, SyntaxError) and error.filename:
        file, number, col = error.filename, error.lineno or 1, error.offset or 0
    found = reason(error, [frame.filename for frame in frames])
    if found is None:
        return None
    source = Source(file, _text(file))
    line = source.lines[number - 1] if number <= len(source.lines) else ""
    at = line.find(found.word) if found.word else -1
    span = Span(source, number, at + 1 if at >= 0 else max(1, col), max(1, len(found.word)))
    return Problem(found.what, span, found.instead)


def user_frames(trace: TracebackType | None) -> list[traceback.FrameSummary]:
    """Where the error went through, without caffelite's own code and what runs the script."""
    frames = traceback.extract_tb(trace)
    return [f for f in frames if not f.filename.startswith((OURS, "<frozen", runpy.__file__))]


def _of_library(file: str) -> bool:
    """Is it one of this Python's, or installed for the user alone or elsewhere, or compiled, so
    that there is no such file?"""
    installed = not {"site-packages", "dist-packages"}.isdisjoint(file.split(os.sep))
    return file.startswith(LIBRARIES) or installed or not os.path.isfile(file)


def _text(path: str) -> str:
    try:
        with tokenize.open(path) as file:
            return file.read()
    except (OSError, SyntaxError, UnicodeError):
        return ""
