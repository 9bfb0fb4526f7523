"""Data layers are described by setup and opened by open: what a plan holds, and what a run does."""

from __future__ import annotations

import gc
import hashlib
import json
import os
import shutil
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from caffelite.errors import CaffeliteError, DataError
from caffelite.files import parse_net
from caffelite.layers.base import Context, TakesArrays, registry
from caffelite.layers.source import SourceLayer
from caffelite.schema.common import Phase
from caffelite.streams import Streams

from .kinds import COUNT, KINDS, layer_text, make_files
from .nets import net_of

FILELESS = ("SpiralData", "ShapesData")
FILES = [kind for kind in KINDS if kind not in FILELESS]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("kinds")
    make_files(made)
    return made


def planned(kind: str, folder: Path, name: str = "d") -> SourceLayer:
    """The layer as a plan has it, set up and no more."""
    spec = parse_net(layer_text(kind, name), "some.net").layer[0]
    context = Context(Phase.TRAIN, np.float32, "", str(folder))
    layer = registry[kind](spec, context)
    assert isinstance(layer, SourceLayer)
    layer.setup([])
    layer.top_shapes = [tuple(shape) for shape in layer.reshape([])][:2]
    return layer


def running(layer: SourceLayer, seed: int = 5) -> SourceLayer:
    """A copy of a planned layer that runs."""
    run = layer.started([], [], Streams(seed))
    run.prepare()
    assert isinstance(run, SourceLayer)
    return run


def batch(layer: SourceLayer) -> list[np.ndarray]:
    shapes = layer.reshape_to([]) if layer.dynamic else layer.top_shapes
    tops = [np.zeros(shape, np.float32) for shape in shapes]
    layer.forward([], tops)
    return tops


def digest(layer: SourceLayer, count: int = 9) -> str:
    """Of the next batches, and of where the layer stands then."""
    made = hashlib.sha256()
    for _ in range(count):
        for array in batch(layer):
            made.update(array.tobytes())
    made.update(json.dumps(layer.state(), sort_keys=True).encode())
    return made.hexdigest()[:16]


def open_files() -> int:
    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("open files are counted in /proc, which only Linux has")
    return len(os.listdir("/proc/self/fd"))


def test_every_data_layer_of_files_is_tried() -> None:
    made = {name for name, cls in registry.items() if issubclass(cls, SourceLayer)}
    assert made == {*KINDS, "MemoryData"}


@pytest.mark.parametrize("kind", KINDS)
def test_twenty_planned_sources_hold_nothing_open(kind: str, folder: Path) -> None:
    planned(kind, folder)  # imports what it needs
    gc.collect()
    files, threads = open_files(), threading.active_count()
    gc.disable()
    try:
        layers = [planned(kind, folder, f"d{i}") for i in range(20)]
        assert (open_files(), threading.active_count()) == (files, threads)
    finally:
        gc.enable()
    for layer in layers:
        assert layer.batch_size == len(batch(running(layer))[0]) or kind == "TextData"
        if kind not in ("WindowData", "TextData", *FILELESS):
            assert layer.epoch_size == COUNT


def values(thing: Any) -> list[Any]:
    """All that can be reached from a layer's attributes through plain containers and objects."""
    found, todo = [], [thing]
    while todo:
        at = todo.pop()
        if any(at is other for other in found):
            continue
        found.append(at)
        if isinstance(at, dict):
            todo += at.values()
        elif isinstance(at, (list, tuple, set)):
            todo += at
        elif type(at).__module__.startswith("caffelite") and not isinstance(at, type):
            todo += getattr(at, "__dict__", {}).values()
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_a_planned_source_holds_no_array_and_no_stream(kind: str, folder: Path) -> None:
    held = {k: v for k, v in vars(planned(kind, folder)).items() if k not in ("spec", "context")}
    held.pop("streams", None)
    held.pop("_table", None)
    bad = (np.ndarray, np.random.Generator, threading.Thread)
    assert [v for v in values(held) if isinstance(v, bad) or hasattr(v, "read")] == []
    assert sum(len(v) for v in values(held) if isinstance(v, (list, tuple))) < 40


@pytest.mark.parametrize("kind", KINDS)
def test_two_runs_of_one_plan_do_not_touch(kind: str, folder: Path) -> None:
    layer = planned(kind, folder)
    before = {k: repr(v) for k, v in vars(layer).items()}
    alone = [batch(run) for run in [running(layer)] for _ in range(7)]
    one, two, other = running(layer), running(layer), running(layer, seed=6)
    for expected in alone:
        for found in (batch(one), batch(two)):
            for a, b in zip(found, expected):
                np.testing.assert_array_equal(a, b)
        batch(other)
    assert {k: repr(v) for k, v in vars(layer).items()} == before


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_that_is_dropped_lets_go_of_files_and_threads(kind: str, folder: Path) -> None:
    layer = planned(kind, folder)
    gc.collect()
    files, threads = open_files(), threading.active_count()
    run = running(layer)
    batch(run)
    del run
    gc.collect()
    assert (open_files(), threading.active_count()) == (files, threads)


@pytest.mark.parametrize(
    "kind, expected",
    [
        ("Data", "773f4587e18ab540"),
        ("CsvData", "10f342a2d76405e4"),
        ("IdxData", "8bb6ebc0c132b86b"),
        ("NumpyData", "60f42acc2f18fee8"),
        ("HDF5Data", "d10e5649caa9c3bd"),
        ("ImageData", "e76329ff04c4e8e9"),
        ("FolderData", "61d5ddecfc2625ae"),
        ("WindowData", "5202e19b1fa02a73"),
        ("TextData", "75c9ee8e32bd3cc7"),
    ],
)
def test_a_seed_draws_what_it_always_drew(kind: str, expected: str, folder: Path) -> None:
    """Runs of earlier versions can be repeated, and go on from their snapshots."""
    assert digest(running(planned(kind, folder))) == expected


CHANGES = {
    "Data": "db",
    "AnnotatedData": "boxes",
    "CsvData": "t.csv",
    "IdxData": "images.gz",
    "NumpyData": "a.npz",
    "HDF5Data": "0.h5",
    "ImageData": "img.txt",
    "FolderData": "classes",
    "WindowData": "w.txt",
    "VideoData": "v.png",
    "TextData": "t.csv",
}


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("how", ["gone", "emptied", "another"])
def test_data_that_changes_after_planning_is_refused(
    kind: str, how: str, folder: Path, tmp_path: Path
) -> None:
    copied = tmp_path / "copy"
    shutil.copytree(folder, copied)
    layer = planned(kind, copied)
    path = copied / CHANGES[kind]
    if path.is_dir():
        shutil.rmtree(path)
        if how != "gone":
            path.mkdir()
    elif how == "gone":
        path.unlink()
    else:
        path.write_bytes(b"" if how == "emptied" else b"nothing of the kind\n" * 3)
    with pytest.raises(CaffeliteError) as caught:
        batch(running(layer))
    assert str(path) in str(caught.value)


def test_fewer_rows_than_planned_are_refused(folder: Path, tmp_path: Path) -> None:
    for name in ("t.csv", "a.npz"):
        shutil.copy(folder / name, tmp_path)
    csv, npz = planned("CsvData", tmp_path), planned("NumpyData", tmp_path)
    table = tmp_path / "t.csv"
    table.write_text("\n".join(table.read_text().splitlines()[:5]))
    with np.load(tmp_path / "a.npz") as arrays:
        np.savez(tmp_path / "a.npz", **{k: v[:5] for k, v in arrays.items()})
    for layer in (csv, npz):
        with pytest.raises(DataError, match=r"changed since the net was made: it holds 5 "):
            batch(running(layer))


def test_memory_data_says_that_it_takes_arrays() -> None:
    text = 'type: "MemoryData" memory_data_param { batch_size: 2 channels: 1 height: 1 width: 1 }'
    layer: Any = net_of(text).layers[0]
    assert isinstance(layer, TakesArrays)
    assert not any(issubclass(registry[k], TakesArrays) for k in KINDS)
    one, two = running(layer), running(layer)
    one.set_input_arrays(np.ones((2, 1, 1, 1)), np.ones(2))  # type: ignore[attr-defined]
    assert (one.epoch_size, two.epoch_size) == (2, None)
