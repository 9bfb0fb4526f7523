"""Finding the files that nets and solvers name."""

from __future__ import annotations

import os
from pathlib import Path

from caffelite.errors import CaffeliteError, Problem, Span, did_you_mean


def find_path(
    name: str, folder: str, span: Span | None = None, what: str = "file", data: bool = False
) -> str:
    """A path that a file names: looked for from the current folder first, as Caffe does, then
    from the folder of the file that names it. Missing: an error at `span`. `data`: a text that
    names data which is not here may be right, unless a file of nearly that name is there."""
    candidates = [Path(name), Path(folder) / name]
    for path in candidates:
        if os.path.exists(path):  # Path.exists raises an error for a name that is too long
            return os.path.normpath(path)  # nets/x.net rather than solvers/../nets/x.net
    near = candidates[-1].parent
    siblings = os.listdir(near) if os.access(near, os.R_OK) and os.path.isdir(near) else []
    alike = did_you_mean(Path(name).name, siblings)
    tried = " and ".join(dict.fromkeys(str(p.absolute()) for p in candidates))
    raise CaffeliteError(
        Problem(
            f'there is no {what} "{name}"',
            span,
            f"a {what}; looked for {tried}",
            alike or _download(name),
            absent=data and alike is None,
        )
    )


def _download(name: str) -> str | None:
    """How to get a file of a data set that is published under this name."""
    path = Path(name)
    for mark, data_set in (("-ubyte", "mnist"), ("cifar10_", "cifar10")):
        if mark in path.name:
            return f"`caffelite data {data_set} {path.parent}` downloads it"
    return None
