"""The optional packages that this room needs, asked for by name."""

from __future__ import annotations

import os
from typing import Any

from caffelite.errors import CaffeliteError, Problem
from caffelite.optional import need

OPENCV = "opencv-python-headless>=5"


def require(name: str) -> Any:
    """The module `onnx` or `onnxruntime`. Raises CaffeliteError with what to install."""
    if name == "onnxruntime":
        # Since 1.29 ONNX Runtime reports to its makers which models run where, and leaves a number
        # of the machine in the user's cache. It asks this variable once, when it is imported.
        os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    return need(name, name, "this", install="caffelite[onnx]", error=CaffeliteError)


def require_opencv() -> Any:
    """cv2 of OpenCV 5 or later. Raises CaffeliteError with what to install."""
    package, asked = "opencv-python-headless", "--verify opencv"
    cv2 = need("cv2", package, asked, install=OPENCV, error=CaffeliteError)
    if int(str(cv2.__version__).split(".")[0]) < 5:
        raise CaffeliteError(
            Problem(
                f"OpenCV {cv2.__version__} is installed",
                expected="OpenCV 5",
                hint=f'pip install "{OPENCV}"',
            )
        )
    return cv2
