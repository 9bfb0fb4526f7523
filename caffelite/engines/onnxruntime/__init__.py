"""The engine `onnxruntime`: a deploy net's forward pass as an ONNX model, in ONNX Runtime.

Packages are imported when the engine starts, never before: importing this package is free, its
modules are not.
"""

from __future__ import annotations

import importlib.util

from caffelite.engines.base import Engine
from caffelite.plan.build import Plan
from caffelite.run.executor import MakeSession
from caffelite.schema.common import Phase

PACKAGES = ("onnxruntime",)


def _missing() -> str | None:
    lacking = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if lacking:
        return f'{" and ".join(lacking)} not installed: pip install "caffelite[onnx]"'
    return None


def _start(device: str) -> MakeSession:
    if device != "cpu":
        raise RuntimeError("this engine runs on the CPU")
    from caffelite.engines.onnxruntime.session import RuntimeSession

    return RuntimeSession


def _refuses(plan: Plan) -> str | None:
    """It runs nets of phase TEST in float32, whose data come from outside, and without losses."""
    if plan.context.phase != Phase.TEST:
        return "it runs forward passes only, and this is a net of phase TRAIN"
    if plan.context.dtype != "float32":
        return f"it computes in float32, and this net in {plan.context.dtype}"
    for layer in plan.layers:
        if (layer.source and not layer.fed and not layer.declared) or layer.loss or layer.compares:
            return (
                f'it runs deploy nets, and layer "{layer.name}" ({layer.spec.type}) is not part '
                "of one"
            )
    return None


ENGINE = Engine(
    name="onnxruntime",
    about="ONNX Runtime on the CPU, for deploy nets: forward passes only",
    missing=_missing,
    least_work=None,
    start=_start,
    refuses=_refuses,
)
