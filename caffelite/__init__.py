"""Caffe's layer-graph engine in Python: text nets in, blobs and layers, forward, backward, solvers.

The names are pycaffe's, so that `import caffelite as caffe` is often all that a script needs. Each
is imported when it is first used: a command that only prints its help loads neither NumPy nor the
layers.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from caffelite.version import VERSION

if TYPE_CHECKING:
    from caffelite.blob import Blob
    from caffelite.engines import set_engine
    from caffelite.errors import CaffeliteError
    from caffelite.layers import Layer, LossLayer, param_of, register
    from caffelite.layers.spec import NetSpec, params
    from caffelite.mode import set_device, set_mode_cpu, set_mode_gpu
    from caffelite.net import Net
    from caffelite.schema.common import Phase
    from caffelite.solver import (
        AdaDeltaSolver,
        AdaGradSolver,
        AdamSolver,
        AdamWSolver,
        NesterovSolver,
        RMSPropSolver,
        SGDSolver,
        get_solver,
    )
    from caffelite.streams import set_random_seed

    TRAIN, TEST = Phase.TRAIN, Phase.TEST

__version__ = VERSION
__all__ = ["TEST", "TRAIN", "Blob", "CaffeliteError", "Layer", "LossLayer", "Net", "Phase"]
__all__ += ["AdaDeltaSolver", "AdaGradSolver", "AdamSolver", "AdamWSolver", "NesterovSolver"]
__all__ += ["NetSpec", "params", "set_device", "set_engine", "set_mode_cpu", "set_mode_gpu"]
__all__ += ["RMSPropSolver", "SGDSolver", "get_solver", "param_of", "register", "set_random_seed"]

_HOMES = {
    "blob": ["Blob"],
    "engines": ["set_engine"],
    "errors": ["CaffeliteError"],
    "layers": ["Layer", "LossLayer", "param_of", "register"],
    "layers.spec": ["NetSpec", "params"],
    "mode": ["set_device", "set_mode_cpu", "set_mode_gpu"],
    "net": ["Net"],
    "schema.common": ["Phase"],
    "solver": [
        "AdaDeltaSolver",
        "AdaGradSolver",
        "AdamSolver",
        "AdamWSolver",
        "NesterovSolver",
        "RMSPropSolver",
        "SGDSolver",
        "get_solver",
    ],
    "streams": ["set_random_seed"],
}
"""Which module each public name comes from."""
_HOME = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    """A public name, or a module of the package: imported now, and kept."""
    if name in ("TRAIN", "TEST"):
        value: Any = __getattr__("Phase")[name]
    elif name in _HOME:
        value = getattr(import_module(f"caffelite.{_HOME[name]}"), name)
    elif not name.startswith("_") and find_spec(f"caffelite.{name}") is not None:
        return import_module(f"caffelite.{name}")
    else:
        raise AttributeError(f"module 'caffelite' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
