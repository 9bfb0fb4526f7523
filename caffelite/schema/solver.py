"""SolverParameter, what a .solver file says, and SolverState, what a run stands at."""

from __future__ import annotations

import math
from enum import IntEnum

from caffelite.schema.common import BlobProto
from caffelite.schema.message import Message, field, repeated
from caffelite.schema.net import NetParameter, NetState


class SnapshotFormat(IntEnum):
    """How snapshots are written."""

    HDF5 = 0
    BINARYPROTO = 1


class SolverMode(IntEnum):
    """Where Caffe was to run. caffelite runs on the CPU."""

    CPU = 0
    GPU = 1


class SolverType(IntEnum):
    """The old way to name the update rule; `type` is the new one."""

    SGD = 0
    NESTEROV = 1
    ADAGRAD = 2
    RMSPROP = 3
    ADADELTA = 4
    ADAM = 5


class WatchMode(IntEnum):
    """Which values of a watched output are better. AUTO: lower for losses, higher for Accuracy."""

    AUTO = 0
    HIGHER = 1
    LOWER = 2


class SolverParameter(Message):
    """How a net is trained."""

    net: str = field(24, "string", doc="the net file, for training and testing")
    net_param: NetParameter = field(25, NetParameter, doc="the net, written in place")
    train_net: str = field(1, "string", doc="a net file for training alone")
    test_net: list[str] = repeated(2, "string", doc="net files for testing")
    train_net_param: NetParameter = field(21, NetParameter)
    test_net_param: list[NetParameter] = repeated(22, NetParameter)
    train_state: NetState = field(26, NetState, doc="level and stages of the training net")
    test_state: list[NetState] = repeated(27, NetState, doc="level and stages of each test net")
    test_iter: list[int] = repeated(
        3,
        "int32",
        least=0,
        doc="batches per test, one for each test net; left out: the whole test set",
    )
    test_interval: int = field(
        4, "int32", default=0, least=0, doc="iterations between tests; 0: no tests"
    )
    test_compute_loss: bool = field(19, "bool", default=False, doc="print the test loss too")
    test_initialization: bool = field(
        32, "bool", default=True, doc="test once before the first iteration"
    )
    base_lr: float = field(
        5,
        "float",
        above=-math.inf,
        below=math.inf,
        doc="the learning rate that the policy starts from",
    )
    display: int = field(6, "int32", least=0, doc="iterations between printed lines; 0: none")
    average_loss: int = field(
        33, "int32", default=1, least=1, doc="print the mean of this many losses"
    )
    max_iter: int = field(7, "int32", least=0, doc="iterations in all")
    iter_size: int = field(36, "int32", default=1, least=1, doc="batches per iteration, averaged")
    lr_policy: str = field(
        8,
        "string",
        doc="fixed, step, exp, inv, multistep, poly, sigmoid, cosine, multifixed, stepdecr or "
        "plateau",
    )
    gamma: float = field(
        9, "float", doc="the factor of step, exp, inv, multistep, sigmoid and plateau"
    )
    power: float = field(10, "float", doc="the exponent of inv and poly")
    momentum: float = field(
        11, "float", doc="the share of the last update kept; Adam's first decay rate; AdaDelta's"
    )
    weight_decay: float = field(
        12, "float", above=-math.inf, below=math.inf, doc="the weight of the penalty on parameters"
    )
    regularization_type: str = field(29, "string", default="L2", doc="the penalty: L2 or L1")
    stepsize: int = field(13, "int32", doc="iterations per step (step, sigmoid)")
    stepvalue: list[int] = repeated(34, "int32", doc="the iterations of the steps (multistep)")
    clip_gradients: float = field(
        35,
        "float",
        default=-1.0,
        above=-math.inf,
        below=math.inf,
        doc="largest L2 norm of all gradients together; -1: no limit",
    )
    snapshot: int = field(
        14, "int32", default=0, least=0, doc="iterations between snapshots; 0: none"
    )
    snapshot_prefix: str = field(15, "string", doc="start of the snapshots' paths")
    snapshot_diff: bool = field(16, "bool", default=False, doc="store the gradients too")
    snapshot_format: SnapshotFormat = field(
        37, SnapshotFormat, default=SnapshotFormat.BINARYPROTO, doc="how they are written"
    )
    solver_mode: SolverMode = field(17, SolverMode, default=SolverMode.GPU, doc="where to run")
    device_id: int = field(18, "int32", default=0, least=0, doc="which GPU, counted from 0")
    random_seed: int = field(20, "int64", default=-1, doc="the run's seed; -1: a new one each run")
    type: str = field(40, "string", default="SGD", doc="the update rule")
    delta: float = field(31, "float", default=1e-8, doc="keeps a division from being by zero")
    momentum2: float = field(39, "float", default=0.999, doc="Adam's second decay rate")
    rms_decay: float = field(38, "float", default=0.99, doc="RMSProp's decay rate")
    debug_info: bool = field(
        23, "bool", default=False, doc="with each displayed loss, print mean values"
    )
    snapshot_after_train: bool = field(28, "bool", default=True, doc="a last one when done")
    solver_type: SolverType = field(
        30, SolverType, default=SolverType.SGD, deprecated=True, doc="old form of `type`"
    )
    layer_wise_reduce: bool = field(
        41, "bool", default=True, idle="all gradients are summed up as one vector"
    )
    weights: list[str] = repeated(42, "string", doc=".caffemodel files to start from")

    # caffelite's own, with numbers far from Caffe's.
    min_lr: float = field(
        1000, "float", default=0.0, least=0, doc="the rate that no policy goes below"
    )
    warmup_iter: int = field(
        1001,
        "int32",
        default=0,
        least=0,
        doc="iterations in which the rate rises to the policy's; 0: none",
    )
    warmup_start_lr: float = field(
        1002, "float", default=0.0, least=0, doc="the rate that warm-up starts at"
    )
    max_epoch: int = field(
        1003, "int32", least=1, doc="times through the training data, in place of max_iter"
    )
    watch: str = field(1004, "string", doc="the test net's output that tells how good the net is")
    watch_net: int = field(
        1005, "int32", default=0, least=0, doc="the test net that is watched, from 0"
    )
    watch_mode: WatchMode = field(
        1006, WatchMode, default=WatchMode.AUTO, doc="which values of `watch` are better"
    )
    patience: int = field(
        1007,
        "int32",
        default=0,
        least=0,
        doc="stop after this many tests without a better value; 0: never",
    )
    min_delta: float = field(
        1008, "float", default=0.0, least=0, doc="for `patience`, how much better a value has to be"
    )
    keep_best: bool = field(
        1009, "bool", default=False, doc="keep the best test's parameters as PREFIX_best.caffemodel"
    )

    # Forks' fields, with the numbers of the forks where Caffe's own leave them free.
    eval_type: str = field(
        20041,
        "string",
        default="classification",
        doc='SSD (there 41): "detection" where test nets end in DetectionEvaluate',
    )
    ap_version: str = field(
        20042,
        "string",
        default="Integral",
        doc="SSD (there 42): the average precision: 11point, 101point, MaxIntegral or Integral",
    )
    show_per_class_result: bool = field(
        44, "bool", default=False, doc="SSD: show each class's average precision too"
    )
    plateau_winsize: list[int] = repeated(
        43,
        "int32",
        least=1,
        doc="SSD: iterations without a lower mean loss after which the rate falls (plateau)",
    )
    stagelr: list[float] = repeated(150, "float", doc="the rates of the stages (multifixed)")
    stageiter: list[int] = repeated(151, "int32", doc="the iterations they end at (multifixed)")
    larc: bool = field(49, "bool", default=False, doc="NVCaffe: a rate of its own per parameter")
    larc_policy: str = field(
        50, "string", default="scale", doc='"scale": times the rate; "clip": at most the rate'
    )
    larc_eta: float = field(51, "float", default=0.001, above=0, doc="the factor of larc")
    local_lr_auto: bool = field(
        1050, "bool", default=False, doc="Intel's Caffe (there 50): a rate of its own per parameter"
    )
    local_gw_ratio: float = field(
        1051, "float", default=0.001, above=0, doc="Intel's Caffe (there 51): its factor"
    )
    rampup_interval: int = field(
        1041,
        "int32",
        default=0,
        least=0,
        doc="NVCaffe (there 41): iterations of a quadratic rise to base_lr; 0: none",
    )
    rampup_lr: float = field(
        1042, "float", default=0.0, doc="NVCaffe (there 42): the rate that this rise starts at"
    )


class SolverState(Message):
    """Where a run stands: written beside the parameters, read to go on.

    Two fields are ours, with numbers that Caffe does not know and so passes over. `run_state` is
    JSON text with the seed, the random streams and the data positions. `model_sha256` is the
    SHA-256 of the file of parameters, its seal apart: only that very file goes with this state."""

    iter: int = field(1, "int32")
    learned_net: str = field(2, "string")
    history: list[BlobProto] = repeated(3, BlobProto)
    current_step: int = field(4, "int32", default=0)
    minimum_loss: float = field(5, "float", default=1e38, doc="SSD: the lowest mean loss (plateau)")
    iter_last_event: int = field(6, "int32", default=0, doc="SSD: when it, or the rate, fell")
    run_state: str = field(1000, "string")
    model_sha256: str = field(1001, "string")
