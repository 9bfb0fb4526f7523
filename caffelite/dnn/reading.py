"""Reading nets: from files, or from buffers with what files hold."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable
from typing import Any

import numpy as np

from caffelite.dnn.net import Net
from caffelite.errors import CaffeliteError, Problem
from caffelite.files import load_net, parse_net
from caffelite.layers.convolution import Convolution
from caffelite.layers.inner_product import InnerProduct
from caffelite.schema.binary import decode, halved, read_bytes, write_atomically
from caffelite.schema.legacy import upgrade_net
from caffelite.schema.net import NetParameter
from caffelite.schema.pieces import pieces
from caffelite.weights import open_weights, weights_in

WEIGHTS = (".caffemodel", ".h5", ".hdf5")
TEXTS = (".prototxt", ".net", ".pbtxt", ".txt")


def readNetFromCaffe(
    prototxt: Any = None,
    caffeModel: Any = None,
    *,
    bufferProto: Any = None,
    bufferModel: Any = None,
) -> Net:
    """A net from a .prototxt and a .caffemodel: paths, or buffers (bytes, or uint8 arrays) with
    what the files hold. Without the second the net can be looked at, not run.

    Raises CaffeliteError with every mistake of the files."""
    text = prototxt if bufferProto is None else bufferProto
    model = caffeModel if bufferModel is None else bufferModel
    if text is None:
        raise TypeError("readNetFromCaffe needs a .prototxt, as a path or a buffer")
    if _is_path(text):
        param = load_net(text)
    else:
        param = parse_net(_bytes(text).decode("utf-8", "replace"), "<bufferProto>")
    if model is None or (_is_path(model) and not os.fspath(model)):
        return Net._of(param, None)
    if _is_path(model):
        with open_weights(model) as stored:
            return Net._of(param, stored)
    name = "<bufferModel>"
    return Net._of(param, weights_in(io.BytesIO(_bytes(model)), name))


def readNet(
    model: Any, config: Any = None, framework: Any = None, *, bufferConfig: Any = None
) -> Net:
    """A Caffe net from its two files, in either order; or `readNet("caffe", bufferModel,
    bufferConfig)`. Files of other frameworks are refused: CaffeliteError."""
    if isinstance(model, str) and config is not None and not _is_path(config):
        _only_caffe(model)
        buffer = framework if bufferConfig is None else bufferConfig
        if buffer is None:
            raise TypeError("readNet needs the buffer of the .prototxt as well")
        return readNetFromCaffe(buffer, config)
    if framework:
        _only_caffe(str(framework))
    paths = [os.fspath(p) for p in (model, config) if p]
    texts = [p for p in paths if p.lower().endswith(TEXTS)]
    weights = [p for p in paths if p.lower().endswith(WEIGHTS)]
    if len(texts) != 1 or len(weights) != len(paths) - 1:
        raise CaffeliteError(
            Problem(
                f"{', '.join(paths)}: not the files of a Caffe net",
                expected="a .prototxt, and a .caffemodel with its parameters",
                hint="`caffelite import-onnx` brings an ONNX model into Caffe's form",
            )
        )
    return readNetFromCaffe(texts[0], *weights)


def shrinkCaffeModel(src: Any, dst: Any, layersTypes: Iterable[str] = ()) -> None:
    """Write a .caffemodel with the parameters of convolutions and InnerProduct layers, or of the
    layers of these types, in half precision, as OpenCV and NVCaffe read them. Raises SnapshotError
    for a value that half precision has no finite number for."""
    name = os.fspath(src)
    net, _ = upgrade_net(decode(read_bytes(name), NetParameter, name, "a .caffemodel"))
    types = set(layersTypes) or {Convolution.type, InnerProduct.type}
    for layer in net.layer:
        if layer.type in types:
            layer.blobs = [halved(blob) for blob in layer.blobs]
    write_atomically(dst, pieces(net))


def _only_caffe(framework: str) -> None:
    if framework.lower() != "caffe":
        raise CaffeliteError(Problem(f'framework "{framework}"', expected='"caffe"'))


def _is_path(value: Any) -> bool:
    return isinstance(value, (str, os.PathLike))


def _bytes(buffer: Any) -> bytes:
    """What a buffer holds: bytes and the like, or an array or a list of them."""
    if isinstance(buffer, (bytes, bytearray, memoryview)):
        return bytes(buffer)
    return np.asarray(buffer, np.uint8).tobytes()
