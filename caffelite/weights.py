"""Parameters in files: reading, writing, and copying them into a net by layer name."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, BinaryIO, Union

import numpy as np

from caffelite.blob import Array, Blob, Shape
from caffelite.errors import Problem, SnapshotError
from caffelite.filetypes import EMPTY, HDF5, type_by_start
from caffelite.hdf5 import open_hdf5
from caffelite.optional import need
from caffelite.reading import shown, size_of
from caffelite.report.copied import Report as Report
from caffelite.schema.binary import (
    blob_proto,
    decode_file,
    halved,
    open_binary,
    replacing,
    stored_array_of,
    write_atomically,
)
from caffelite.schema.common import BlobProto
from caffelite.schema.message import Message, repeated
from caffelite.schema.message import field as declared
from caffelite.schema.net import NetParameter
from caffelite.schema.pieces import pieces
from caffelite.schema.solver import SolverState
from caffelite.schema.stored import StoredArray
from caffelite.seal import seal_file, sealed, verify_open

Stored = list[Union[Array, None]]
"""A layer's parameters as stored. None: not in the file, because it is another layer's (Caffe's
HDF5 files hold a shared parameter once)."""
InFile = Union[Array, StoredArray, None]
"""One of them; a StoredArray is still to be read."""


class Opened(dict[str, Sequence[InFile]]):
    """Layer name → its parameters, and the path that errors name."""

    path: str = ""


MOST_PARAMS = 1000
"""Parameters of one layer, in a file."""


# A file may come from a fork of Caffe that uses field numbers for other things, so only what is
# the same in all of them is declared here.


class _V0Layer(Message):
    name: str = declared(1, "string")
    blobs: list[BlobProto] = repeated(50, BlobProto)


class _V1Layer(Message):
    layer: _V0Layer = declared(1, _V0Layer)
    name: str = declared(4, "string")
    blobs: list[BlobProto] = repeated(6, BlobProto)


class _Layer(Message):
    name: str = declared(1, "string")
    blobs: list[BlobProto] = repeated(7, BlobProto)


class _Weights(Message):
    name: str = declared(1, "string")
    layers: list[_V1Layer] = repeated(2, _V1Layer)
    layer: list[_Layer] = repeated(100, _Layer)


def read_weights(path: str | os.PathLike[str], verify: bool = True) -> dict[str, Stored]:
    """Layer name → its parameters, in the file's order, from a .caffemodel of any age or an HDF5
    file. Layers without parameters are left out.

    If a name comes more than once, the last layer with parameters counts, as in Caffe. Old files
    give every shape in four extents: a bias is (1, 1, 1, N). `copy_weights` knows this.
    Raises SnapshotError, saying what the file is if it is something else, or if it is not as
    caffelite wrote it (`seal.py`); `verify=False` passes over that.
    """
    with open_weights(path, verify) as found:
        return {
            name: [None if array is None else np.asarray(array) for array in arrays]
            for name, arrays in found.items()
        }


@contextmanager
def open_weights(path: str | os.PathLike[str], verify: bool = True) -> Iterator[Opened]:
    """As `read_weights`, but a .caffemodel's values stay in the file, which is open in the `with`
    block, until `copy_weights` reads them into a net."""
    name = os.fspath(path)
    with open_binary(path) as file:
        if verify:
            verify_open(file, name)
            file.seek(0)
        if type_by_start(file.read(20)) is HDF5:
            opened = Opened(_read_hdf5(name))
            opened.path = name
            yield opened
            return
        yield weights_in(file, name)


def weights_in(file: BinaryIO, name: str) -> Opened:
    """As `open_weights`, from an open .caffemodel, which errors call `name`."""
    try:
        stored = decode_file(file, _Weights, name, "a file of parameters (.caffemodel)")
    except SnapshotError as error:
        if not error.over_limit:
            _refuse_solver_state(file, name)
        raise
    found = Opened()
    found.path = name
    layers: list[Any] = [layer.layer if layer.has("layer") else layer for layer in stored.layers]
    for layer in [*layers, *stored.layer]:
        if layer.has("blobs"):
            found[layer.name] = [_array(blob, layer.name, name) for blob in layer.blobs]
    if not found:
        raise SnapshotError(
            f"{name}: "
            + ("there are no parameters in this file" if size_of(file) else f"this is {EMPTY.name}")
        )
    return found


def weights_of(net: NetParameter, name: str) -> dict[str, Sequence[InFile]]:
    """The parameters that a net's message holds itself; `name` is what errors call it."""
    held = {layer.name: layer.blobs for layer in net.layer if layer.has("blobs")}
    return {layer: [_array(blob, layer, name) for blob in blobs] for layer, blobs in held.items()}


def _array(blob: BlobProto, layer: str, path: str) -> InFile:
    try:
        return stored_array_of(blob)
    except SnapshotError as error:
        raise SnapshotError(f'{path}: layer "{layer}": {error}') from None


def _refuse_solver_state(file: BinaryIO, path: str) -> None:
    try:
        state = decode_file(file, SolverState, path)
    except SnapshotError:
        return
    if state.has("iter") and state.has("history"):
        raise _is_solver_state(path, state.learned_net) from None


def _is_solver_state(path: str, learned: str) -> SnapshotError:
    hint = f"its parameters are in {learned}" if learned else None
    message = f"{path}: this is a solver's state, not a file of parameters"
    return SnapshotError(Problem(message, hint=hint))


def import_h5py(path: str) -> Any:
    """h5py, or a SnapshotError that says how to get it."""
    return need("h5py", "h5py", f"{path}: HDF5", error=SnapshotError)


def _read_hdf5(path: str) -> dict[str, Stored]:
    found: dict[str, dict[int, Array]] = {}
    with open_hdf5(path, SnapshotError) as file:
        if (learned := file.text("learned_net")) is not None:
            raise _is_solver_state(path, learned)
        if not file.is_group("data"):
            raise SnapshotError(
                f"{path}: an HDF5 file without the group /data, where Caffe keeps parameters; it "
                f"holds {shown(', '.join(map(repr, file.names()[:5]))) or 'nothing'}"
            )
        for data in file.walk("data"):
            layer, _, index = data.name.rpartition("/")  # a layer's name may hold slashes too
            if layer and index.isascii() and index.isdecimal():
                if len(index) > 4 or int(index) > MOST_PARAMS:
                    raise SnapshotError(
                        f'{path}: "{shown(data.name)}", but a layer has at most {MOST_PARAMS} '
                        "parameters"
                    )
                found.setdefault(layer, {})[int(index)] = file.read(data)
    if not found:
        raise SnapshotError(f"{path}: there are no parameters in this file")
    return {name: [arrays.get(i) for i in range(max(arrays) + 1)] for name, arrays in found.items()}


def write_weights(
    path: str | os.PathLike[str],
    net: NetParameter,
    blobs: Mapping[str, Sequence[Array]],
    diffs: Mapping[str, Sequence[Array]] | None = None,
    hdf5: bool | None = None,
    half: bool = False,
) -> None:
    """Write a net and its parameters: HDF5, which keeps names and values only, or a .caffemodel,
    which keeps the layers' definitions too. Unless `hdf5` says which, a path that ends in .h5 or
    .hdf5 means HDF5.

    `blobs` and `diffs` are by layer name. `half`: the values in half precision (a .caffemodel
    without `diffs`). The file is replaced as a whole or not at all.
    """
    unknown = set(blobs) - {layer.name for layer in net.layer}
    if unknown:
        raise ValueError(f"no such layers in the net: {', '.join(sorted(unknown))}")
    diffs = diffs or {}
    if os.fspath(path).endswith((".h5", ".hdf5")) if hdf5 is None else hdf5:
        if half:
            raise SnapshotError(f"{path}: half precision is for .caffemodel files")
        _write_hdf5(os.fspath(path), net, {"data": blobs, "diff": diffs})
        return
    stored = NetParameter(name=net.name)
    for layer in net.layer:
        layer = layer.copy()
        arrays = blobs.get(layer.name, ())
        gradients: Stored = [*diffs.get(layer.name, ())] or [None] * len(arrays)
        stored_blobs = [blob_proto(a, d) for a, d in zip(arrays, gradients)]
        layer.blobs = [halved(blob) for blob in stored_blobs] if half else stored_blobs
        stored.layer.append(layer)
    write_atomically(path, sealed(pieces(stored)))


def _write_hdf5(
    path: str, net: NetParameter, parts: Mapping[str, Mapping[str, Sequence[Array]]]
) -> None:
    h5py = import_h5py(path)
    with replacing(path) as part:
        with h5py.File(part, "w") as file:
            for kind, arrays in parts.items():
                if kind == "diff" and not arrays:
                    continue
                for layer in net.layer:
                    group = file.require_group(f"{kind}/{layer.name}")
                    for i, array in enumerate(arrays.get(layer.name, ())):
                        group.create_dataset(str(i), data=array)
        seal_file(part)


def copy_weights(
    source: Mapping[str, Sequence[InFile]],
    target: Mapping[str, Sequence[Blob]],
    *,
    path: str = "",
    skip_mismatch: bool = False,
    strict: bool = True,
) -> Report:
    """Copy parameters into the layers of the same name, all or (after an error) none.

    Raises SnapshotError if shapes do not fit, unless `skip_mismatch` leaves those layers as they
    are, and if nothing would be copied, unless not `strict`. `path` is named in the error.
    """
    report = Report(path or getattr(source, "path", ""))
    copies: list[tuple[Blob, Array | StoredArray]] = []
    absent: dict[str, list[Blob]] = {}
    for name, blobs in target.items():
        if not blobs:
            continue
        if name not in source:
            report.missing.append(name)
            continue
        arrays = _with_factor(source[name], blobs)
        why = _mismatch(arrays, blobs)
        if why:
            report.mismatched[name] = why
            continue
        padded = [*arrays, *[None] * (len(blobs) - len(arrays))]
        copies += [(blob, array) for blob, array in zip(blobs, padded) if array is not None]
        absent[name] = [blob for blob, array in zip(blobs, padded) if array is None]
        report.copied.append(name)
    # A parameter that is not stored here must come with another layer that shares it.
    filled = {_place(blob) for blob, _ in copies}
    for name, left in absent.items():
        if any(_place(blob) not in filled for blob in left):
            report.copied.remove(name)
            report.mismatched[name] = _counts(source[name], target[name])
            copies = [c for c in copies if all(c[0] is not blob for blob in target[name])]
    report.skipped = [name for name in source if name not in target]
    if report.mismatched and not skip_mismatch:
        raise SnapshotError(*_mismatch_problems(report))
    if strict and not report.copied and (report.missing or report.mismatched):
        raise _nothing_copied(report, source)
    for _, array in copies:
        if isinstance(array, StoredArray):
            array.check()  # a disk that fails in the middle must not leave half of two nets
    for blob, array in copies:
        if isinstance(array, StoredArray):
            array.reshape(blob.shape).read_into(blob.data)
        else:
            blob.data[...] = array.reshape(blob.shape)
    return report


def _place(blob: Blob) -> tuple[int, int]:
    return blob.data.__array_interface__["data"][0], blob.data.nbytes


def _with_factor(arrays: Sequence[InFile], blobs: Sequence[Blob]) -> Sequence[InFile]:
    """BatchNorm keeps sums of mean and variance and the factor to divide them by; some files have
    the two quotients alone, so the factor is 1."""
    if len(arrays) == 2 and len(blobs) == 3 and blobs[2].shape == (1,):
        mean, variance = blobs[:2]
        if mean.shape == variance.shape and mean.data.ndim == 1:
            return [*arrays, np.ones(1, np.float32)]
    return arrays


def _mismatch(arrays: Sequence[InFile], blobs: Sequence[Blob]) -> str | None:
    """Why stored parameters do not fit a layer's, or None."""
    if len(arrays) > len(blobs):
        return _counts(arrays, blobs)
    for i, (array, blob) in enumerate(zip(arrays, blobs)):
        if array is not None and not same_shape(array.shape, blob.shape):
            return f"parameter {i} is {array.shape} in the file, {blob.shape} in the net"
    return None


def _counts(arrays: Sequence[InFile], blobs: Sequence[Blob]) -> str:
    stored = [array.shape for array in arrays if array is not None]
    text = f"{len(stored)} parameters in the file, {len(blobs)} in the net"
    if len(stored) == 5 and len(blobs) == 3:
        text += " (a BatchNorm of NVIDIA's Caffe, with scale and bias in it?)"
    return text


def same_shape(stored: Shape, shape: Shape) -> bool:
    """Are the shapes the same, or is `stored` the same in the old four extents: (1, 1, 1, N) for
    (N,), (1, 1, N, K) for (N, K)? Single values fit whatever their axes."""
    if stored == shape or all(n == 1 for n in stored + shape):
        return True
    return len(stored) == 4 and len(shape) < 4 and stored == (1,) * (4 - len(shape)) + shape


AFRESH = (
    "to learn such a layer afresh, rename it in the net, or pass it over: `caffelite train` with "
    "--skip-mismatch, in Python skip_mismatch=True"
)
"""What can be done about shapes that do not fit."""


def _mismatch_problems(report: Report) -> list[Problem]:
    where = f"{report.path}: " if report.path else ""
    problems = [
        Problem(f'{where}layer "{name}" does not fit the net: {why}')
        for name, why in report.mismatched.items()
    ]
    problems[-1] = Problem(problems[-1].message, hint=AFRESH)
    return problems


def _nothing_copied(report: Report, source: Mapping[str, Any]) -> SnapshotError:
    where = f"{report.path}: " if report.path else ""
    if report.mismatched:
        return SnapshotError(f"{where}nothing was copied: no layer fits the net\n{report}")
    pairs = []
    for name in report.missing:
        near = difflib.get_close_matches(name, list(source), n=1, cutoff=0.5)
        if near:
            pairs.append(f'"{near[0]}" in the file is like "{name}" in the net')
    return SnapshotError(
        Problem(
            f"{where}nothing was copied: no layer of the net is in the file",
            expected=f"layers named {_some(report.missing)}; the file has {_some(source)}",
            hint="; ".join(pairs[:4]) or "is this the file of another net?",
        )
    )


def _some(names: Any) -> str:
    names = list(names)
    shown = ", ".join(f'"{name}"' for name in names[:6])
    return shown + (f" and {len(names) - 6} more" if len(names) > 6 else "")
