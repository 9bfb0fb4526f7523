"""What is in a binary file, as text or for JSON: definitions whole, arrays summed up.

print(text(read_contents("lenet.caffemodel")))
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from enum import IntEnum
from typing import Any, Union

import numpy as np

from caffelite.blob import Array
from caffelite.errors import CaffeliteError, Problem, SnapshotError
from caffelite.filetypes import EMPTY, HDF5, type_of
from caffelite.hdf5 import Reader, open_hdf5
from caffelite.schema.binary import array_of, read_bytes
from caffelite.schema.common import BlobProto
from caffelite.schema.message import FieldSpec, Message
from caffelite.schema.sorts import message_in
from caffelite.schema.wire import foreign
from caffelite.text.dump import scalar_text

Node = Union[dict[str, Any], list[Any], Array, str, int, float, bool, None]
LONG = 300
"""Letters of a text or bytes that are shown."""


def read_contents(path: str) -> dict[str, Any]:
    """The fields of a .caffemodel, .solverstate or .binaryproto, or the data sets of an HDF5 file:
    dicts, lists, arrays and single values. Raises SnapshotError for other files."""
    data = read_bytes(path)
    if type_of(data, path) is HDF5:
        with open_hdf5(path, SnapshotError) as file:
            return _group(file, "")
    if not data:
        raise SnapshotError(f"{path}: this is {EMPTY.name}")
    message = None if foreign(data) else message_in(data)
    if message is None:
        why = foreign(data) or "this is no message of Caffe's"
        raise SnapshotError(
            Problem(
                f"{path}: {why}",
                expected="a .caffemodel, .solverstate, .binaryproto or HDF5 file",
            )
        )
    return _fields(message)


def _fields(message: Message) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for spec, value in message.set_fields():
        if spec.repeated and not isinstance(value, np.ndarray):
            found[spec.name] = [_value(spec, item) for item in value]
        else:
            found[spec.name] = _value(spec, value)
    return found


def _value(spec: FieldSpec, value: Any) -> Node:
    if isinstance(value, BlobProto):
        return _blob(value)
    if isinstance(value, Message):
        return _fields(value)
    if isinstance(value, IntEnum):
        return value.name
    if spec.name == "run_state" and isinstance(value, str):
        return _json(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return value  # type: ignore[no-any-return]


def _blob(blob: BlobProto) -> Node:
    array = array_of(blob)
    diff = blob.diff if blob.has("diff") else blob.double_diff
    if not len(diff):
        return array
    return {"data": array, "diff": np.asarray(diff, array.dtype).reshape(array.shape)}


def _json(text: str) -> Node:
    try:
        return json.loads(text)  # type: ignore[no-any-return]
    except ValueError:
        return text


def _group(file: Reader, at: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in file.names(at):
        path = f"{at}/{name}" if at else name
        found[name] = _group(file, path) if file.is_group(path) else _data_set(file, path)
    return found


def _data_set(file: Reader, path: str) -> Node:
    try:
        data = file.find(path)
    except CaffeliteError as error:
        try:
            text = file.text(path)
        except CaffeliteError:
            raise error from None
        return _json(text) if path == "run_state" and text else text
    return None if data is None else file.read(data)


def summed_up(array: Array) -> dict[str, Any]:
    """The shape, type and range of an array."""
    found: dict[str, Any] = {"shape": list(array.shape), "type": array.dtype.name}
    if array.size and array.dtype.kind in "fiub":
        finite = array[np.isfinite(array)] if array.dtype.kind == "f" else array
        if finite.size:
            found |= {"min": float(finite.min()), "max": float(finite.max())}
            found |= {
                "mean": float(finite.mean(dtype=np.float64)),
                "std": float(finite.std(dtype=np.float64)),
            }
        if finite.size < array.size:
            found["not_finite"] = int(array.size - finite.size)
    return found


def plain(node: Node, values: bool = False) -> Any:
    """For JSON: arrays are summed up, with all of their `values` if these are wanted."""
    if isinstance(node, np.ndarray):
        found = summed_up(node)
        return {**found, "values": node.tolist()} if values else found
    if isinstance(node, dict):
        return {name: plain(value, values) for name, value in node.items()}
    if isinstance(node, list):
        return [plain(value, values) for value in node]
    return node


def text(contents: dict[str, Any], values: bool = False) -> str:
    """Lines like those of the text format; an array is a comment, or with `values` all numbers."""
    return "\n".join(_lines(contents, "", values))


def _lines(node: dict[str, Any], indent: str, values: bool) -> Iterator[str]:
    for name, value in node.items():
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, dict):
                yield f"{indent}{name} {{"
                yield from _lines(item, indent + "  ", values)
                yield f"{indent}}}"
            elif isinstance(item, np.ndarray):
                yield f"{indent}{name}  # {_range(item)}"
                if values:
                    numbers = np.array2string(
                        item, threshold=item.size + 1, max_line_width=100, separator=", "
                    )
                    yield from (f"{indent}  {line}" for line in numbers.splitlines())
            else:
                yield f"{indent}{name}: {_scalar(item)}"


def _range(array: Array) -> str:
    found = summed_up(array)
    shape = "x".join(map(str, array.shape)) or "1"
    words = [f"{shape} {found['type']}"]
    if "min" in found:
        words.append(f"{found['min']:.4g} to {found['max']:.4g}")
        words.append(f"mean {found['mean']:.4g}, deviation {found['std']:.4g}")
    if "not_finite" in found:
        words.append(f"{found['not_finite']} not finite")
    return ", ".join(words)


def _scalar(value: Any) -> str:
    if isinstance(value, str):
        shown = value if len(value) <= LONG else f"{value[:LONG]}..."
        return shown if shown.isupper() and shown.isidentifier() else scalar_text("string", shown)
    if isinstance(value, bool):
        return "true" if value else "false"
    return scalar_text("float" if isinstance(value, float) else "int", value)
