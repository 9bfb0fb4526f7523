"""caffe._caffe: what Caffe's compiled module holds, for scripts that reach into it."""

from __future__ import annotations

from caffelite.blob import Blob as Blob
from caffelite.pycaffe import __version__ as __version__
from caffelite.pycaffe.functions import NCCL as NCCL
from caffelite.pycaffe.functions import Timer as Timer
from caffelite.pycaffe.functions import has_nccl as has_nccl
from caffelite.pycaffe.functions import init_log as init_log
from caffelite.pycaffe.functions import layer_type_list as layer_type_list
from caffelite.pycaffe.functions import log as log
from caffelite.pycaffe.functions import set_device as set_device
from caffelite.pycaffe.functions import set_mode_cpu as set_mode_cpu
from caffelite.pycaffe.functions import set_mode_gpu as set_mode_gpu
from caffelite.pycaffe.functions import set_multiprocess as set_multiprocess
from caffelite.pycaffe.functions import set_random_seed as set_random_seed
from caffelite.pycaffe.functions import set_solver_count as set_solver_count
from caffelite.pycaffe.functions import set_solver_rank as set_solver_rank
from caffelite.pycaffe.functions import solver_count as solver_count
from caffelite.pycaffe.functions import solver_rank as solver_rank
from caffelite.pycaffe.layer import Layer as Layer
from caffelite.pycaffe.net import Net as Net
from caffelite.pycaffe.solver import AdaDeltaSolver as AdaDeltaSolver
from caffelite.pycaffe.solver import AdaGradSolver as AdaGradSolver
from caffelite.pycaffe.solver import AdamSolver as AdamSolver
from caffelite.pycaffe.solver import NesterovSolver as NesterovSolver
from caffelite.pycaffe.solver import RMSPropSolver as RMSPropSolver
from caffelite.pycaffe.solver import SGDSolver as SGDSolver
from caffelite.pycaffe.solver import Solver as Solver
from caffelite.pycaffe.solver import get_solver as get_solver
from caffelite.pycaffe.vectors import BlobVec as BlobVec
from caffelite.pycaffe.vectors import BoolVec as BoolVec
from caffelite.pycaffe.vectors import DtypeVec as DtypeVec
from caffelite.pycaffe.vectors import IntVec as IntVec
from caffelite.pycaffe.vectors import LayerVec as LayerVec
from caffelite.pycaffe.vectors import NetVec as NetVec
from caffelite.pycaffe.vectors import RawBlobVec as RawBlobVec
from caffelite.pycaffe.vectors import StringVec as StringVec
