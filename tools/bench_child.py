"""What every contender of `bench.py` does: say hello, run when told to, say what memory it took.

Each contender is a process of its own, so that its peak memory is its own and no thread pool gets
in another's way. It talks in lines of JSON: on stdout first a greeting (`serve`) or the reason why
it cannot run (`skip`); then for each number read from stdin, that many runs and the seconds they
took; at the end of stdin its peak memory.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any, NoReturn

if sys.platform != "win32":
    import resource


def peak_mb() -> float | None:
    """The most memory this process has had so far, in MB (10^6 bytes); None where unknown."""
    if sys.platform == "win32":
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6  # elsewhere in KiB


def say(**values: Any) -> None:
    """One line to the parent."""
    print(json.dumps(values), flush=True)


def skip(reason: str) -> NoReturn:
    """This contender cannot take part, and why."""
    say(skip=reason)
    sys.exit(0)


def serve(run: Callable[[int], Any], **greeting: Any) -> None:
    """Greet, then time `run(count)` whenever the parent asks."""
    say(**greeting)
    for line in sys.stdin:
        count = int(line)
        start = time.perf_counter()
        run(count)
        say(seconds=time.perf_counter() - start)
    say(peak_mb=peak_mb())
