"""Caffe's layer-graph engine in Python: text nets in, blobs and layers, forward, backward, solvers.

The names are pycaffe's, so that `import caffelite as caffe` is often all that a script needs.
"""

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

__version__ = "0.1.0"
__all__ = ["TEST", "TRAIN", "Blob", "CaffeliteError", "Layer", "LossLayer", "Net", "Phase"]
__all__ += ["AdaDeltaSolver", "AdaGradSolver", "AdamSolver", "AdamWSolver", "NesterovSolver"]
__all__ += [
    "NetSpec",
    "params",
    "set_device",
    "set_engine",
    "set_mode_cpu",
    "set_mode_gpu",
    "set_random_seed",
]
__all__ += ["RMSPropSolver", "SGDSolver", "get_solver", "param_of", "register"]
