"""Tries damaged files, one after the other, and says what is wrong with the reading of them.

Run in a process of its own: a library that crashes takes that process with it.
"""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import json
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from caffelite.errors import CaffeliteError

from .mutate import mutate
from .targets import Target

SECONDS = 5.0
"""A file may take."""
BYTES = 1 << 30
"""Memory that a file may take."""


def case(target: Target, name: str, seed: int, number: int) -> bytes:
    """The damaged file of that number."""
    rng = np.random.default_rng([seed, number, *name.encode()])
    one, other = rng.integers(len(target.seeds), size=2)
    return mutate(target.seeds[one], target.seeds[other], rng)


def peak() -> int:
    """The most memory that this process has had, in bytes; 0 where it is not known."""
    try:
        import resource
    except ImportError:
        return 0
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def wrong_with(target: Target, folder: Path, data: bytes) -> str | None:
    """What is wrong with how a file is read: None if it is read, or refused as it should be."""
    path = folder / target.name
    with contextlib.suppress(FileNotFoundError):  # a database may be open still: another file
        path.unlink()
    path.write_bytes(data)
    before, start = peak(), time.process_time()
    faulthandler.dump_traceback_later(4 * SECONDS, exit=True)
    try:
        target.read(folder)
    except CaffeliteError as error:
        text = str(error)
        if any(not c.isprintable() and c != "\n" for c in text):
            return f"control characters in {text!r}"
    except BaseException:
        return traceback.format_exc(limit=-6)
    finally:
        faulthandler.cancel_dump_traceback_later()
    taken = time.process_time() - start  # a busy machine is no fault
    if taken > SECONDS:
        return f"{taken:.1f} s"
    if before and peak() - before > BYTES:
        return f"{(peak() - before) >> 20} MB"
    return None


def hunt(
    targets: dict[str, Target], folder: Path, seed: int, numbers: Iterator[int]
) -> Iterator[dict[str, object]]:
    """Faults, as they are found; which case is tried is noted in the file "now" before."""
    now = folder / "now"
    for number in numbers:
        for name, target in targets.items():
            now.write_text(json.dumps([name, number]))
            fault = wrong_with(target, folder, case(target, name, seed, number))
            if fault:
                yield {"target": name, "number": number, "fault": fault}
            if target.name not in ("n.net", "s.solver"):  # no other target reads these
                (folder / target.name).write_bytes(target.seeds[0])
        if number % 100 == 0:
            gc.collect()
