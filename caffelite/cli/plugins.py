"""Users' own layers: loading their files, and what is said when their code fails."""

from __future__ import annotations

import importlib.util
import os
import sys
import traceback
from pathlib import Path
from types import TracebackType

from caffelite.errors import CaffeliteError, Problem, Source, Span
from caffelite.layers.base import Layer

_loaded: set[str] = set()


def load(name: str) -> None:
    """Run a file that registers layers. Raises CaffeliteError if it is missing or fails."""
    path = Path(name)
    if not path.is_file():
        raise CaffeliteError(Problem(f'there is no plug-in file "{name}"'))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise CaffeliteError(Problem(f"{name} is not a Python file", expected="FILE.py"))
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(path.stem, module)
    _loaded.add(os.path.realpath(path))
    try:
        spec.loader.exec_module(module)
    except CaffeliteError:
        raise
    except SyntaxError as error:
        place = _span(name, error.lineno or 1)
        raise CaffeliteError(Problem(f"plug-in {name}: {error.msg}", place)) from None
    except Exception as error:
        said = f"plug-in {name} failed: {type(error).__name__}: {error}"
        raise CaffeliteError(Problem(said, _last_line(error, name))) from error


def problem_of(error: BaseException) -> Problem | None:
    """What is said of an error that a plug-in's code has raised: the layer, its place in the net,
    the plug-in's line. None: the error is not a plug-in's."""
    frames = [trace for trace, _ in traceback.walk_tb(error.__traceback__)]
    ours = [frame for frame in frames if os.path.realpath(frame.f_code.co_filename) in _loaded]
    if not ours:
        return None
    layers = [value for f in ours if isinstance(value := f.f_locals.get("self"), Layer)]
    said = f"{type(error).__name__}: {error}"
    hint = f"in {ours[-1].f_code.co_name}() of the plug-in"
    if layers:
        said = f'layer "{layers[0].name}" ({layers[0].type}): {said}'
        place = layers[0].spec.span()
        hint += f"; the layer is at {place}" if place else ""
    name = os.path.relpath(ours[-1].f_code.co_filename)
    return Problem(said, _last_line(error, name), hint=hint)


def _last_line(error: BaseException, name: str) -> Span | None:
    """The line of the plug-in that the error came through last."""
    trace: TracebackType | None = error.__traceback__
    found = None
    while trace is not None:
        if os.path.realpath(trace.tb_frame.f_code.co_filename) == os.path.realpath(name):
            found = trace.tb_lineno
        trace = trace.tb_next
    return _span(name, found) if found else None


def _span(name: str, line: int) -> Span | None:
    try:
        text = Path(name).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    source = Source(name, text)
    shown = source.lines[line - 1] if line <= len(source.lines) else ""
    start = len(shown) - len(shown.lstrip())
    return Span(source, line, start + 1, max(1, len(shown.strip())))
