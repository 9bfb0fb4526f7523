"""Running models: ONNX Runtime, and OpenCV as a second witness."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from caffelite.blob import Array
from caffelite.errors import CaffeliteError, Problem
from caffelite.onnx.extra import require, require_opencv

INLINE_LIMIT = 1_800_000_000
"""Bytes; protobuf messages end at 2 GiB."""


class Runtime:
    """A model in ONNX Runtime, on the CPU."""

    def __init__(self, model: Any, threads: int | None = None) -> None:
        """`threads` to compute with; None: as many as ONNX Runtime likes."""
        ort = require("onnxruntime")
        options = ort.SessionOptions()
        if threads is not None:
            options.intra_op_num_threads = threads
            options.inter_op_num_threads = 1
        options.log_severity_level = 4  # what goes wrong is raised below
        self._folder: Any = None
        source: Any
        if isinstance(model, (str, bytes)):
            source = model
        elif model.ByteSize() < INLINE_LIMIT:
            source = model.SerializeToString()
        else:
            self._folder = tempfile.TemporaryDirectory()
            source = os.path.join(self._folder.name, "model.onnx")
            copy = type(model)()
            copy.CopyFrom(model)
            save_outside(copy, source)
        try:
            self.session = ort.InferenceSession(source, options, ["CPUExecutionProvider"])
        except Exception as error:
            raise CaffeliteError(
                Problem(f"ONNX Runtime {ort.__version__} refuses the model: {error}")
            ) from error
        self.name = f"ONNX Runtime {ort.__version__}"

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """All outputs by name."""
        names = [x.name for x in self.session.get_outputs()]
        try:
            values = self.session.run(names, dict(inputs))
        except Exception as error:
            raise CaffeliteError(Problem(f"{self.name} cannot run the model: {error}")) from error
        return dict(zip(names, values))


class OpenCV:
    """A model in OpenCV's dnn module."""

    def __init__(self, path: str) -> None:
        cv2 = require_opencv()
        self.name = f"OpenCV {cv2.__version__}"
        try:
            self.net = cv2.dnn.readNetFromONNX(path)
        except cv2.error as error:
            raise CaffeliteError(
                Problem(f"{self.name} cannot read the model: {_short(error)}")
            ) from None
        self.error = cv2.error

    def run(self, inputs: Mapping[str, Array], outputs: Sequence[str]) -> dict[str, Array]:
        """The outputs by name."""
        try:
            for name, values in inputs.items():
                self.net.setInput(np.ascontiguousarray(values), name)
            found = self.net.forward(list(outputs))
        except self.error as error:
            raise CaffeliteError(
                Problem(f"{self.name} cannot run the model: {_short(error)}")
            ) from None
        return dict(zip(outputs, map(np.asarray, found)))


def _short(error: Exception) -> str:
    return str(error).strip().split("\n")[0]


def save_outside(model: Any, path: str) -> None:
    """Write a model with its weights in a file of their own, PATH.data. The model is changed."""
    onnx = require("onnx")
    location = os.path.basename(path) + ".data"
    beside = os.path.join(os.path.dirname(path), location)
    if os.path.exists(beside):
        os.remove(beside)  # onnx would add to it
    onnx.save_model(
        model, path, save_as_external_data=True, all_tensors_to_one_file=True, location=location
    )
