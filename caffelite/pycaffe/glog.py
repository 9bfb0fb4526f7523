"""The log in glog's form, on standard error: Caffe's own tools that read logs find what they seek.

    I1124 20:22:55.123456  4711 solver.py:218] Iteration 0, lr = 0.01

GLOG_minloglevel in the environment, or `init_log`, says from which level on lines are written.
"""

from __future__ import annotations

import inspect
import os
import sys
import threading
from datetime import datetime
from pathlib import Path

INFO, WARNING, ERROR = 0, 1, 2
VARIABLE = "GLOG_minloglevel"
_LETTERS = "IWEF"
_asked: int | None = None


def set_level(level: int) -> None:
    """Write lines of this level or above."""
    global _asked
    _asked = level


def level() -> int:
    """The level that has been asked for, by the program or by the environment; else INFO."""
    if _asked is not None:
        return _asked
    word = os.environ.get(VARIABLE, "")
    return int(word) if word.isdecimal() else INFO


def write(text: str, severity: int = INFO) -> None:
    """One line of the log; it names the file and line of the caller."""
    if severity < level():
        return
    frame = inspect.currentframe()
    caller = frame.f_back if frame is not None else None
    where = f"{Path(caller.f_code.co_filename).name}:{caller.f_lineno}" if caller else "-:0"
    now = datetime.now().strftime("%m%d %H:%M:%S.%f")
    thread = threading.get_native_id()
    print(f"{_LETTERS[severity]}{now} {thread:5d} {where}] {text}", file=sys.stderr, flush=True)
