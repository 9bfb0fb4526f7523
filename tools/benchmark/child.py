"""What every process that `bench.py` starts does: greet, run when told to, say what memory it took.

Each contender is a process of its own, so that its peak memory is its own and no thread pool gets
in another's way. It talks in lines of JSON: on stdout first a greeting (`serve`) or the reason why
it cannot run (`skip`); then for each number read from stdin, that many runs and the time they took,
by the clock and of the process on all cores; at the end of stdin its peak memory.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np

if sys.platform != "win32":
    import resource


def status_mb(field: str) -> float | None:
    """VmRSS or VmHWM of this process, in MB (10^6 bytes); None where Linux does not tell."""
    try:
        with open("/proc/self/status") as file:
            for line in file:
                if line.startswith(f"{field}:"):
                    return int(line.split()[1]) * 1024 / 1e6
    except OSError:
        pass
    return None


def peak_mb() -> float | None:
    """The most memory this process has had so far, in MB (10^6 bytes); None where unknown."""
    peak = status_mb("VmHWM")  # ru_maxrss begins with the size of the parent
    if peak is not None or sys.platform == "win32":
        return peak
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return size / 1e6 if sys.platform == "darwin" else size * 1024 / 1e6  # elsewhere in KiB


def forget_peak() -> float | None:
    """Count the peak anew from here where that is possible (Linux); the memory in use now, or the
    peak so far where that is all that can be known."""
    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
    except OSError:
        return peak_mb()
    return status_mb("VmRSS")


def apart(got: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference, relative where values are above 1; infinite where not both finite."""
    off = np.abs(got - expected) / np.maximum(1, np.abs(expected))
    worst = float(off.max(initial=0.0))
    return worst if np.isfinite(worst) else float("inf")


def say(**values: Any) -> None:
    """One line to the parent. If that is gone, so is the reason to be here."""
    try:
        print(json.dumps(values), flush=True)
    except BrokenPipeError:
        os._exit(1)  # closing standard output would fail once more


def skip(reason: str) -> NoReturn:
    """This contender cannot take part, and why."""
    say(skip=reason)
    sys.exit(0)


def serve(run: Callable[[int], Any], **greeting: Any) -> None:
    """Greet, then time `run(count)` whenever the parent asks."""
    say(**greeting)
    for line in sys.stdin:
        count = int(line)
        start, worked = time.perf_counter(), time.process_time()
        run(count)
        say(seconds=time.perf_counter() - start, cpu=time.process_time() - worked)
    say(peak_mb=peak_mb())
