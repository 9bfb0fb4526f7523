"""Finding the files that nets and solvers name."""

from __future__ import annotations

from pathlib import Path

from caffelite.errors import CaffeliteError, Problem, Span, did_you_mean


def find_path(name: str, folder: str, span: Span | None = None, what: str = "file") -> str:
    """A path that a file names: looked for from the current folder first, as Caffe does, then
    from the folder of the file that names it. Missing: an error at `span`."""
    candidates = [Path(name), Path(folder) / name]
    for path in candidates:
        if path.exists():
            return str(path)
    near = candidates[-1].parent
    siblings = [p.name for p in near.iterdir()] if near.is_dir() else []
    close = did_you_mean(Path(name).name, siblings)
    tried = " and ".join(dict.fromkeys(str(p.absolute()) for p in candidates))
    raise CaffeliteError(
        Problem(f'there is no {what} "{name}"', span, f"a {what}; looked for {tried}", close)
    )
