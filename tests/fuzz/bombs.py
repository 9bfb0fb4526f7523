"""Every bomb of the arsenal, each in a process of its own: time, memory, and what was said.

  python -m tests.fuzz.bombs
  python -m tests.fuzz.bombs --only npz

Ends with 1 if one was met with anything but success or a CaffeliteError, took over 5 s of
processor time or more memory than 1 GB or 10 times the file.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

from caffelite.errors import CaffeliteError

from ..data.kinds import make_files
from .arsenal import Bomb, bombs
from .hunt import BYTES, SECONDS, peak


def try_bomb(bomb: Bomb, folder: Path, files: Path) -> dict[str, object]:
    """What it does: "said", "seconds", "bytes", and "fault" if that is not as it should be."""
    place = folder / "place"
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(files, place, symlinks=True)
    bomb.make(place / bomb.file)
    answer = folder / "answer"
    answer.write_text(
        json.dumps({"said": "", "fault": "the process died", "seconds": 0, "bytes": 0})
    )
    child = os.fork()
    if not child:
        try:
            answer.write_text(json.dumps(_read(bomb, place)))
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    return dict(json.loads(answer.read_text()))


def _read(bomb: Bomb, place: Path) -> dict[str, object]:
    path = place / bomb.file
    size = path.stat().st_size if path.is_file() else 0
    resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
    before, start, fault, said = peak(), time.process_time(), "", "read"
    waiting = time.monotonic()
    try:
        bomb.read(place)
    except CaffeliteError as error:
        said = str(error).split("\n")[0]
        if len(str(error)) > 50_000 or any(not c.isprintable() and c != "\n" for c in str(error)):
            fault = f"an error of {len(str(error))} characters, or with control characters"
    except BaseException:
        fault = traceback.format_exc(limit=-6)
    seconds, taken = time.process_time() - start, peak() - before
    if seconds > SECONDS or time.monotonic() - waiting > 60:
        fault = fault or f"{seconds:.1f} s"
    if taken > max(BYTES, 10 * size):
        fault = fault or f"{taken >> 20} MB"
    return {"said": said, "fault": fault, "seconds": seconds, "bytes": taken}


def try_all(only: str = "") -> Iterator[tuple[Bomb, dict[str, object]]]:
    """All bombs whose names begin with `only`."""
    with tempfile.TemporaryDirectory() as made:
        files = Path(made) / "files"
        files.mkdir()
        make_files(files)
        for bomb in bombs(only):
            yield bomb, try_bomb(bomb, Path(made), files)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.bombs")
    parser.add_argument("--only", default="", help="names that begin so")
    faults = count = 0
    worst: dict[str, tuple[float, str]] = {"seconds": (0, ""), "bytes": (0, "")}
    for bomb, found in try_all(parser.parse_args().only):
        count += 1
        faults += bool(found["fault"])
        for key in worst:
            worst[key] = max(worst[key], (float(str(found[key])), bomb.name))
        megabytes = int(str(found["bytes"])) >> 20
        said = str(found["fault"] or found["said"])
        print(
            f"{bomb.name:<46} {found['seconds']:>6.2f} s {megabytes:>6,} MB  {said[:110]}",
            flush=True,
        )
    print(f"{count} bombs, {faults} faults; worst: {worst}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
