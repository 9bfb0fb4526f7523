"""The optional packages that this room needs, asked for by name."""

from __future__ import annotations

from typing import Any

from caffelite.errors import CaffeliteError, Problem
from caffelite.optional import need

OPENCV = "opencv-python-headless>=5"


def require(name: str) -> Any:
    """The module `onnx` or `onnxruntime`. Raises CaffeliteError with what to install."""
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
