"""What a program has asked for, in pycaffe's words, for nets that are made from now on: where they
run, and whether their `Python` layers may."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType


@dataclass
class Request:
    """What a program has asked for; None: nothing."""

    engine: str | None = None
    device: str | None = None
    number: int = 0
    """Of the GPU that `set_mode_gpu` means."""
    import_layers: Callable[[str], ModuleType] | None = None
    """Imports the module of a `Python` layer; None: such layers may not run."""
    locate_errors: bool = False
    """Is what a `Python` layer raises reported with the layer's place, or does it pass as it is?"""


request = Request()


def set_mode_cpu() -> None:
    """Run on the CPU."""
    request.device = "cpu"


def set_mode_gpu() -> None:
    """Run on the GPU that `set_device` names, the first one otherwise. Without a GPU, or without
    an engine that can use one, the next net says so in one line and runs on the CPU."""
    request.device = f"cuda:{request.number}"


def set_device(device: int) -> None:
    """Which GPU to use in GPU mode."""
    request.number = int(device)
    if request.device and request.device.startswith("cuda"):
        set_mode_gpu()
