"""Named blobs of many batches, written to a file: `.npz`, HDF5 or LMDB.

    write_features(net, ["fc7"], "fc7.h5", batches=10)

The rows of all batches follow each other, as from Caffe's extract_features. A blob without a batch
axis gives one row for each batch. HDF5 and LMDB are written batch by batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from caffelite.blob import Array
from caffelite.data.writer import DatabaseWriter
from caffelite.errors import CaffeliteError, NetError, Problem, did_you_mean
from caffelite.net import Net
from caffelite.schema.binary import replacing
from caffelite.schema.datum import Datum
from caffelite.weights import import_h5py

Put = Callable[[str, Array], None]
"""Takes the next rows of a blob."""
NPZ, HDF5, LMDB = ".npz", (".h5", ".hdf5"), (".lmdb", "_lmdb")


def write_features(
    net: Net,
    blobs: Sequence[str],
    path: str,
    batches: int,
    rows: int | None = None,
    track: Callable[[Iterable[int]], Iterable[int]] = iter,
) -> dict[str, tuple[int, ...]]:
    """Run the net and write its blobs; their shapes in the file. `rows`: as many samples there
    are, so that what fills up the last batch is left out. Raises CaffeliteError for a blob that
    there is not, or a path that does not say its format."""
    for name in blobs:
        if name not in net.blobs:
            known = "one of " + ", ".join(net.blobs)
            hint = did_you_mean(name, net.blobs)
            raise NetError(Problem(f'no blob "{name}"', expected=known, hint=hint))
    shapes: dict[str, tuple[int, ...]] = {}
    done = 0
    with _writer(path, blobs) as put:
        for _ in track(range(batches)):
            net.forward(blobs=blobs)
            for name in blobs:
                values = net.blobs[name].data
                part = values if values.ndim else values[None]
                if rows is not None and values.ndim and len(values) == _batch(net):
                    part = part[: max(0, rows - done)]
                put(name, part)
                before = shapes.get(name, (0,))[0]
                shapes[name] = (before + len(part), *part.shape[1:])
            done += _batch(net)
    return shapes


def _batch(net: Net) -> int:
    """Samples a pass: the first extent of the first blob."""
    shape = next(iter(net.blobs.values())).shape
    return shape[0] if shape else 1


@contextmanager
def _writer(path: str, blobs: Sequence[str]) -> Iterator[Put]:
    if path.endswith(NPZ):
        with _npz(path) as put:
            yield put
    elif path.endswith(HDF5):
        with _hdf5(path) as put:
            yield put
    elif path.endswith(LMDB):
        if len(blobs) != 1:
            raise CaffeliteError(
                Problem(
                    f"{len(blobs)} blobs for one LMDB database",
                    expected="one blob",
                    hint=".npz and .h5 hold several",
                )
            )
        with _lmdb(path) as put:
            yield put
    else:
        raise CaffeliteError(
            Problem(
                f'"{path}" does not say its format',
                expected="a name that ends in .npz, .h5, .lmdb or _lmdb",
            )
        )


@contextmanager
def _npz(path: str) -> Iterator[Put]:
    parts: dict[str, list[Array]] = {}
    yield lambda name, rows: parts.setdefault(name, []).append(rows.copy())
    arrays = {name: np.concatenate(found) for name, found in parts.items()}
    with replacing(path) as part, open(part, "xb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


@contextmanager
def _hdf5(path: str) -> Iterator[Put]:
    h5py = import_h5py(path)
    with replacing(path) as part, h5py.File(part, "w") as file:

        def put(name: str, rows: Array) -> None:
            if name not in file:
                most = (None, *rows.shape[1:])
                file.create_dataset(name, data=rows, maxshape=most, chunks=True)
                return
            found = file[name]
            found.resize(len(found) + len(rows), axis=0)
            found[len(found) - len(rows) :] = rows

        yield put


@contextmanager
def _lmdb(path: str) -> Iterator[Put]:
    with DatabaseWriter(path) as database:
        count = 0

        def put(name: str, rows: Array) -> None:
            nonlocal count
            for row in rows:
                extents = [*np.shape(row), 1, 1, 1][:3]
                channels, height, width = extents if np.ndim(row) <= 3 else (np.size(row), 1, 1)
                datum = Datum(channels=channels, height=height, width=width)
                datum.float_data = np.asarray(row, np.float32).ravel()  # type: ignore[assignment]
                database.put(f"{count:010}".encode(), datum)
                count += 1

        yield put
