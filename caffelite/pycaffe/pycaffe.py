"""caffe.pycaffe: the names that Caffe's wrapper module has."""

from __future__ import annotations

from collections import OrderedDict as OrderedDict

from caffelite.pycaffe.functions import NCCL as NCCL
from caffelite.pycaffe.functions import Timer as Timer
from caffelite.pycaffe.net import Net as Net
from caffelite.pycaffe.solver import AdaDeltaSolver as AdaDeltaSolver
from caffelite.pycaffe.solver import AdaGradSolver as AdaGradSolver
from caffelite.pycaffe.solver import AdamSolver as AdamSolver
from caffelite.pycaffe.solver import NesterovSolver as NesterovSolver
from caffelite.pycaffe.solver import RMSPropSolver as RMSPropSolver
from caffelite.pycaffe.solver import SGDSolver as SGDSolver
