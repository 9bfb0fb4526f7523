"""An OpenCV that no longer reads Caffe's files, made to do it again: `caffelite run --opencv`."""

from __future__ import annotations

import os
from collections.abc import Callable
from types import ModuleType
from typing import Any

from caffelite import dnn

MODELS = ("ClassificationModel", "DetectionModel", "KeypointsModel", "Model", "SegmentationModel")
CAFFES = (".caffemodel", ".prototxt")


def mend(cv2: ModuleType) -> None:
    """Put what is missing into `cv2` and `cv2.dnn`. What still is there stays: files of other
    frameworks are OpenCV's. An OpenCV that reads Caffe's files is left alone."""
    theirs = cv2.dnn
    if hasattr(theirs, "readNetFromCaffe"):
        return
    theirs.readNet = _chosen(dnn.readNet, theirs.readNet)
    theirs.readNetFromCaffe = dnn.readNetFromCaffe
    theirs.shrinkCaffeModel = dnn.shrinkCaffeModel
    for name in MODELS:
        both = _chosen(getattr(dnn, name), getattr(theirs, name, None))
        setattr(theirs, name, both)
        setattr(cv2, f"dnn_{name}", both)
    for name in ("registerLayer", "unregisterLayer"):
        there = getattr(cv2, f"dnn_{name}", None)
        setattr(cv2, f"dnn_{name}", _both(getattr(dnn, name), there))


def _chosen(ours: Callable[..., Any], theirs: Callable[..., Any] | None) -> Callable[..., Any]:
    """Caffelite's for a net of its own and for Caffe's files, OpenCV's for others."""

    def make(*args: Any, **more: Any) -> Any:
        caffes = any(map(_is_caffes, (*args, *more.values())))
        return ours(*args, **more) if caffes or theirs is None else theirs(*args, **more)

    return make


def _is_caffes(given: Any) -> bool:
    if isinstance(given, (str, os.PathLike)):
        name = os.fspath(given)
        return isinstance(name, str) and (name.lower() == "caffe" or name.lower().endswith(CAFFES))
    return isinstance(given, dnn.Net)


def _both(ours: Callable[..., Any], theirs: Callable[..., Any] | None) -> Callable[..., Any]:
    def call(*args: Any) -> None:
        ours(*args)
        if theirs is not None:
            theirs(*args)

    return call
