"""pycaffe: what Caffe's scripts import, under the names that they use.

    import caffelite.pycaffe as caffe

or, so that `import caffe` means this in a script and in all that it imports:

    from caffelite.pycaffe import hook
    hook.install()

`caffelite run SCRIPT` does so for a script that stays as it is. Each name is imported when it is
first used. With `Net` come layers that run code of the user's: a program that uses it has decided
to.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

from caffelite.schema.common import Phase

__version__ = "1.0.0"
"""The version of Caffe whose names these are."""
TRAIN, TEST = Phase.TRAIN, Phase.TEST

_HOMES = {
    "classifier": ["Classifier"],
    "detector": ["Detector"],
    "functions": [
        *("NCCL", "Timer", "has_nccl", "init_log", "layer_type_list", "log", "set_device"),
        *("set_mode_cpu", "set_mode_gpu", "set_multiprocess", "set_random_seed"),
        *("set_solver_count", "set_solver_rank", "solver_count", "solver_rank"),
    ],
    "layer": ["Layer"],
    "net": ["Net"],
    "net_spec": ["NetSpec", "layers", "params", "to_proto"],
    "solver": [
        *("AdaDeltaSolver", "AdaGradSolver", "AdamSolver", "NesterovSolver", "RMSPropSolver"),
        *("SGDSolver", "get_solver"),
    ],
}
"""Which module each name comes from."""
_HOME = {name: module for module, names in _HOMES.items() for name in names}
__all__ = ["TEST", "TRAIN", *sorted(_HOME)]


def __getattr__(name: str) -> Any:
    """A name, or a module of the package: imported now, and kept."""
    if name in _HOME:
        value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
        globals()[name] = value
        return value
    if not name.startswith("__") and find_spec(f"{__name__}.{name}") is not None:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module 'caffe' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
