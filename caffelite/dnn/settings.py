"""OpenCV's backends and targets, by its numbers: accepted, said once."""

from __future__ import annotations

import logging

from caffelite.errors import CaffeliteError, Problem

log = logging.getLogger("caffelite")

DNN_BACKEND_DEFAULT = 0
DNN_BACKEND_HALIDE = 1
DNN_BACKEND_INFERENCE_ENGINE = 2
DNN_BACKEND_OPENCV = 3
DNN_BACKEND_VKCOM = 4
DNN_BACKEND_CUDA = 5
DNN_BACKEND_WEBNN = 6
DNN_BACKEND_TIMVX = 7
DNN_BACKEND_CANN = 8
DNN_TARGET_CPU = 0
DNN_TARGET_OPENCL = 1
DNN_TARGET_OPENCL_FP16 = 2
DNN_TARGET_MYRIAD = 3
DNN_TARGET_VULKAN = 4
DNN_TARGET_FPGA = 5
DNN_TARGET_CUDA = 6
DNN_TARGET_CUDA_FP16 = 7
DNN_TARGET_HDDL = 8
DNN_TARGET_NPU = 9
DNN_TARGET_CPU_FP16 = 10
_HERE = dict(globals())
BACKENDS = {name: value for name, value in _HERE.items() if name.startswith("DNN_BACKEND_")}
TARGETS = {name: value for name, value in _HERE.items() if name.startswith("DNN_TARGET_")}
_AS_HERE = ("DNN_BACKEND_DEFAULT", "DNN_BACKEND_OPENCV", "DNN_TARGET_CPU")
_said: set[str] = set()


def say_backend(number: int) -> None:
    """Say once that a backend is not what runs. Raises CaffeliteError for one there is not."""
    _say("backend", number, BACKENDS)


def say_target(number: int) -> None:
    """The same of a target."""
    _say("target", number, TARGETS)


def _say(what: str, number: int, known: dict[str, int]) -> None:
    names = {value: name for name, value in known.items()}
    if number not in names:
        raise CaffeliteError(
            Problem(f"there is no {what} {number}", expected=f"one of {', '.join(known)}")
        )
    name = names[number]
    if name not in _AS_HERE and name not in _said:
        _said.add(name)
        log.warning(
            "%s: not used; nets run on caffelite's own engines (caffelite.set_engine and "
            "caffelite.set_mode_gpu choose one before a net is read)",
            name,
        )
