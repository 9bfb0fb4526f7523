"""The manifest of a run, PREFIX.run.json: what is needed to tell one run from another, and to do
it again. It is written when the run starts, and once more with its outcome when it ends."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import shlex
import sys
from collections.abc import Sequence
from datetime import datetime, timezone
from types import TracebackType
from typing import Any

from caffelite import __version__, snapshot
from caffelite.errors import SnapshotError
from caffelite.schema.binary import write_atomically
from caffelite.schema.solver import SolverParameter
from caffelite.solver.base import Solver
from caffelite.solver.facts import Pace, data_of

PACKAGES = ("numpy", "torch", "onnxruntime", "h5py", "lmdb", "PIL")
"""Whose versions may change what a run computes, by the names of their modules."""


def manifest_path(param: SolverParameter, path: str) -> str:
    """PREFIX.run.json, beside the snapshots; none if the solver writes no snapshots either."""
    if not (param.snapshot or param.snapshot_after_train):
        return ""
    return f"{snapshot.prefix(param, path)[0]}.run.json"


class Manifest:
    """The manifest of one run, which is the `with` block. `files` are those that were read, beside
    solver and nets. Without a `path` nothing is written."""

    def __init__(self, path: str, solver: Solver, command: Sequence[str], files: Sequence[str]):
        self.path, self.solver = path, solver
        self.record: dict[str, Any] = _record(solver, command, files) if path else {}

    def __enter__(self) -> None:
        self.record["outcome"] = "running"
        self._write()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        outcome = "stopped" if self.solver.stop_requested else "done"
        if error is not None:
            outcome = f"failed: {type(error).__name__}: {error}".splitlines()[0]
        self.record |= {"ended": _now(), "outcome": outcome, "iterations": self.solver.iter}
        self._write()

    def _write(self) -> None:
        if not self.path:
            return
        # like the log, it is no reason to end a run
        with contextlib.suppress(SnapshotError):
            write_atomically(self.path, (json.dumps(self.record, indent=2) + "\n").encode())


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def _record(solver: Solver, command: Sequence[str], files: Sequence[str]) -> dict[str, Any]:
    param, net, pace = solver.param, solver.net, Pace.of(solver)
    return {
        "caffelite": __version__,
        "python": platform.python_version(),
        "packages": _versions(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs",
        "command": shlex.join(command),
        "folder": os.getcwd(),
        "started": _now(),
        "first_iteration": solver.iter,
        "max_iter": param.max_iter,
        "samples_per_iteration": pace.samples,
        "seed": solver.streams.seed,
        "engine": net.engine.engine,
        "device": net.engine.device,
        "engine_reason": net.engine.reason,
        "solver": solver.type,
        "net": net.name,
        "parameters": net.parameter_count,
        "dtype": net.dtype.name,
        "data": [
            {"net": which, "layer": d.layer, "type": d.type, "samples": d.size, "batch": d.batch}
            for which, one in [("train", net), *_numbered(solver)]
            for d in data_of(one)
        ],
        "files": [_checked(path) for path in dict.fromkeys([*_texts(solver), *files])],
    }


def _numbered(solver: Solver) -> list[tuple[str, Any]]:
    return [(f"test {i}", net) for i, net in enumerate(solver.test_nets)]


def _versions() -> dict[str, str]:
    """Of what this run has imported."""
    found = {}
    for name in PACKAGES:
        if name in sys.modules:
            found[name] = str(getattr(sys.modules[name], "__version__", "unknown"))
    return found


def _texts(solver: Solver) -> list[str]:
    """The solver file, and the files of its nets."""
    paths = [solver.path] if solver.path else []
    for message in (solver.net.param, *(net.param for net in solver.test_nets)):
        span = message.span()
        if span is not None and os.path.isfile(span.source.name):
            paths.append(span.source.name)
    return paths


def _checked(path: str) -> dict[str, Any]:
    try:
        digest = hashlib.sha256()
        with open(path, "rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
        return {"path": path, "bytes": os.path.getsize(path), "sha256": digest.hexdigest()}
    except OSError as error:
        return {"path": path, "error": error.strerror or str(error)}
