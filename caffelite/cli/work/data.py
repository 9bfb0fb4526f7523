"""The work of `caffelite data`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from caffelite.data import cifar10
from caffelite.data.download import NoConnection, Published, download
from caffelite.errors import CaffeliteError, DataError, Problem, did_you_mean


@dataclass(frozen=True)
class Dataset:
    """What is published where, and how to make of it what nets read."""

    title: str
    files: tuple[Published, ...]
    mirrors: tuple[str, ...]
    convert: Callable[[Path, Path], list[str]] | None = None
    """Given the (one) file and the folder: the names of what was made."""


DATASETS = {
    "mnist": Dataset(
        "70,000 handwritten digits, 1 x 28 x 28, for IdxData layers (12 MB)",
        (
            Published("train-images-idx3-ubyte.gz", "f68b3c2dcbeaaa9fbdd348bbdeb94873"),
            Published("train-labels-idx1-ubyte.gz", "d53e105ee54ea40749a09fcbcd1e9432"),
            Published("t10k-images-idx3-ubyte.gz", "9fb629c4189551a2d022fa330f9573f3"),
            Published("t10k-labels-idx1-ubyte.gz", "ec29112dd5afa0611ce80d1b7f02629c"),
        ),
        (
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
        ),
    ),
    "cifar10": Dataset(
        "60,000 images of ten classes, 3 x 32 x 32, as LMDB for Data layers (170 MB)",
        (Published("cifar-10-binary.tar.gz", "c32a1d4ab5d03f1284b67883e8d87530"),),
        ("https://www.cs.toronto.edu/~kriz/",),
        cifar10.convert,
    ),
}


def run(args: argparse.Namespace) -> int:
    """Download; 0 when all files are there."""
    if args.name is None:
        for name, known in DATASETS.items():
            print(f"{name:<10}{known.title}")
        return 0
    if args.name not in DATASETS:
        hint = did_you_mean(args.name, DATASETS) or f"known: {', '.join(DATASETS)}"
        raise CaffeliteError(Problem(f'there is no data set "{args.name}"', hint=hint))
    dataset = DATASETS[args.name]
    if args.folder is None:
        example = f"caffelite data {args.name} data/{args.name}"
        raise CaffeliteError(Problem("no folder is given", hint=f"as in: {example}"))
    folder = Path(args.folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f'the folder "{folder}" cannot be made: {error.strerror}') from None
    mirrors = [m if m.endswith("/") else f"{m}/" for m in args.mirror or dataset.mirrors]
    _download_all(dataset, mirrors, folder)
    if dataset.convert is not None:
        for name in dataset.convert(folder / dataset.files[0].name, folder):
            print(f"{folder / name}: made")
    return 0


def _download_all(dataset: Dataset, mirrors: list[str], folder: Path) -> None:
    for file in dataset.files:
        try:
            with Bar(file.name) as bar:
                new = download(file, mirrors, folder, bar)
        except NoConnection as error:
            names = ", ".join(f.name for f in dataset.files if not (folder / f.name).exists())
            raise DataError(
                f"{error}; the files can also be put into {folder} by hand: {names}"
            ) from None
        print(f"{folder / file.name}: {'downloaded' if new else 'is there'}", flush=True)


class Bar:
    """How far a download is, on a terminal."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._shown = sys.stderr.isatty()

    def __enter__(self) -> Bar:
        if self._shown:
            from rich import progress
            from rich.console import Console

            self._bar = progress.Progress(
                progress.TextColumn("{task.description}"),
                progress.BarColumn(),
                progress.DownloadColumn(),
                progress.TransferSpeedColumn(),
                console=Console(stderr=True),
                transient=True,
            )
            self._task = self._bar.add_task(self._name, total=None)
            self._bar.start()
        return self

    def __call__(self, done: int, total: int) -> None:
        if self._shown:
            self._bar.update(self._task, completed=done, total=total or None)

    def __exit__(self, *failure: object) -> None:
        if self._shown:
            self._bar.stop()
