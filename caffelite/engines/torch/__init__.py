"""The engine `torch`: PyTorch's kernels, without autograd, on the memory of a planned net.

PyTorch is imported when the engine starts, never before: importing this package is free, its
modules are not.
"""

from __future__ import annotations

import importlib.util
from functools import partial

from caffelite.engines.base import Engine
from caffelite.run.executor import MakeSession

LEAST_WORK = 50_000_000
"""Below so many multiply-adds a forward pass NumPy is as fast, and needs no import of seconds."""


def _missing() -> str | None:
    if importlib.util.find_spec("torch") is None:
        return 'PyTorch is not installed: pip install "caffelite[torch]"'
    return None


def _start(device: str) -> MakeSession:
    import torch

    from caffelite.engines.torch.device import place_of
    from caffelite.engines.torch.session import TorchSession
    from caffelite.kernels import parallel

    torch.set_num_threads(parallel.threads())
    return partial(TorchSession, place=place_of(device))


ENGINE = Engine(
    name="torch",
    about="PyTorch's kernels, on the CPU and on GPUs",
    missing=_missing,
    least_work=LEAST_WORK,
    start=_start,
)
