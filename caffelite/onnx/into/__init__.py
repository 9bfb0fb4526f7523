"""ONNX operators as Caffe's layers: one file a family; importing this room registers them all."""

from __future__ import annotations

import importlib
import pkgutil

from caffelite.onnx.extra import require

require("onnx")
for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
