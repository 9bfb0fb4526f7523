"""The optional packages that this room needs, asked for by name."""

from __future__ import annotations

import importlib
from typing import Any

from caffelite.errors import CaffeliteError, Problem


def require(name: str) -> Any:
    """The module `onnx` or `onnxruntime`. Raises CaffeliteError with what to install."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise CaffeliteError(
            Problem(
                f"this needs the package {name}, which is not installed ({error})",
                hint='pip install "caffelite[onnx]"',
            )
        ) from None


def require_opencv() -> Any:
    """cv2 of OpenCV 5 or later. Raises CaffeliteError with what to install."""
    hint = 'pip install "opencv-python-headless>=5"'
    try:
        cv2 = importlib.import_module("cv2")
    except ImportError as error:
        raise CaffeliteError(
            Problem(f"--verify opencv needs OpenCV, which is not installed ({error})", hint=hint)
        ) from None
    if int(str(cv2.__version__).split(".")[0]) < 5:
        raise CaffeliteError(
            Problem(f"OpenCV {cv2.__version__} is installed", expected="OpenCV 5", hint=hint)
        )
    return cv2
