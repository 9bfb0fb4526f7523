"""What forks of Caffe add to its messages: which fork a field or a type of layer is of, and whether
the field can change a number here.

A field that is listed here and declared nowhere is read and kept (`Message.foreign`), printed
again, and not followed. Where it could change a number (`Effect`), the layer that holds it is
refused once it is known to be there in the phase, and stand-in data have not taken its place (what
changes updates alone: once the net is to be trained); elsewhere a warning lists it. What is
followed is declared beside its layer and is not listed here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from caffelite.errors import Problem
from caffelite.schema import mycaffe
from caffelite.schema.fork_types import TYPES as TYPES
from caffelite.schema.message import Message
from caffelite.text import Field, Scalar


class Effect(Enum):
    """Where a field that is not followed could change a number."""

    NONE = "nowhere"
    TRAIN = "in phase TRAIN"
    ALWAYS = "in both phases"
    UPDATE = "in updates"


@dataclass(frozen=True)
class ForkField:
    """A field of a fork that is read and not followed."""

    fork: str
    effect: Effect


_NONE: dict[str, dict[str, str]] = {
    "MyCaffe": mycaffe.NONE,
    "NVCaffe": {
        "NetParameter": "default_forward_type default_backward_type default_forward_math "
        "default_backward_math global_grad_scale global_grad_scale_adaptive "
        "default_conv_algos_override reduce_buckets default_cudnn_math_override "
        "eltwise_mem_sharing",
        "LayerParameter": "forward_type backward_type forward_math backward_math debug "
        "cudnn_math_override",
        "ConvolutionParameter": "cudnn_convolution_algo_seeker conv_algos_override",
        "BatchNormParameter": "engine",
        "DropoutParameter": "engine random_seed",
        "DataParameter": "threads parser_threads cache precache",
        "ImageDataParameter": "threads cache precache dataset_share_per_node",
        "TransformationParameter": "use_gpu_transform random_seed forward_packing display "
        "num_labels",
        "SolverParameter": "solver_data_type store_blobs_in_old_format "
        "test_and_snapshot_last_epochs",
    },
    "Intel's Caffe": {
        "NetParameter": "engine compile_net_state multinode",
        "LayerParameter": "engine multinode mn_activation_param mn_grad_compress_param",
        "ConcatParameter": "engine per_fla_fuse",
        "ConvolutionParameter": "conv_algorithm",
        "EltwiseParameter": "engine",
        "InnerProductParameter": "engine",
        "BatchNormParameter": "use_weight_bias bias_term",
        "ReLUParameter": "fuse",
        "SolverParameter": "engine test_offset",
        "DataParameter": "side",
    },
    "the fork of C3D": {
        "ImageDataParameter": "show_data",
        "DataParameter": "show_data",
        "VideoDataParameter": "show_data",
    },
    "yjxiong's fork": {
        "NetParameter": "mem_param",
        "SolverParameter": "richness group_id device_id",
    },
    "CaffeOnSpark": {
        "LayerParameter": "source_class",
        "MemoryDataParameter": "source share_in_parallel image_encoded dataframe_format "
        "dataframe_column_select",
    },
    "happynear's fork": {
        "MemoryDataParameter": "transpose",  # of OpenCV's images; arrays are as they are
    },
    "SkimCaffe": {
        "ConvolutionParameter": "conv_mode",
        "InnerProductParameter": "gemm_mode spmdm_transpose_in spmdm_transpose_out",
        "SolverParameter": "measure_threshold",
    },
    "Petuum's Caffe": {
        "DataParameter": "shared_file_system",
        "ImageDataParameter": "shared_file_system",
    },
    "DeepDetect's fork (jolibrain)": {
        "NonMaximumSuppressionParameter": "theta",  # soft_nms alone reads it
    },
    "FlowNet's forks": {
        "DataParameter": "verbose disk_reader_threads huge_video_dataset",
    },
    "converters and compilers": {
        "LayerParameter": "quantization_param quantize_param",
    },
}

_UPDATE: dict[str, dict[str, str]] = {
    "SkimCaffe": {
        "LayerParameter": "connectivity_mode",
        "ParamSpec": "regularization_type breadth_decay_mult kernel_shape_decay_mult "
        "block_group_lasso",
        "SolverParameter": "breadth_decay kernel_shape_decay block_group_decay prune_threshold "
        "max_threshold_factor winograd_adjust_threshold winograd_sparsity_factor",
    },
    "NVCaffe": {
        "SolverParameter": "larc_turbo momentum_policy max_momentum momentum_power "
        "weight_decay_policy weight_decay_power max_weight_decay",
    },
}

_TRAIN: dict[str, dict[str, str]] = {
    "MyCaffe": mycaffe.TRAIN,
    "DeepDetect's fork (jolibrain)": {
        "DistortionParameter": "prob brightness contrast hue saturation random_order all_effects",
        "NoiseParameter": "all_effects",
    },
    "NVCaffe": {
        "DataParameter": "shuffle",
        "TransformationParameter": "img_rand_resize_lower img_rand_resize_upper "
        "rand_resize_ratio_lower rand_resize_ratio_upper vertical_stretch_lower "
        "vertical_stretch_upper horizontal_stretch_lower horizontal_stretch_upper "
        "interpolation_algo_down interpolation_algo_up allow_upscale",
    },
    "Intel's Caffe": {
        "NetParameter": "bn_stats_batch_size",
        "BatchNormParameter": "stats_batch_size",
        "TransformationParameter": "random_resize_param random_aspect_ratio_param",
    },
    "yjxiong's fork": {
        "TransformationParameter": "fix_crop multi_scale scale_ratios max_distort more_fix_crop "
        "original_image",
    },
    "PSPNet's fork": {
        "TransformationParameter": "scale_factors",
    },
    "the fork of JigsawPuzzleSolver": {
        "TransformationParameter": "jitter_size",
        "DataParameter": "rand_jump",
    },
    "the fork of MobileNet-YOLO": {
        "TransformationParameter": "enable_classf_aug min_scaling_factor max_scaling_factor "
        "max_rotation_angle contrast_brightness_adjustment smooth_filtering min_contrast "
        "max_contrast max_brightness_shift max_smooth max_color_shift min_side_min min_side_max "
        "apply_probability debug_params resize_param",
        "AnnotatedDataParameter": "yolo_data_type yolo_data_jitter train_diffcult "
        "difficult_label_warmup",
    },
}

_ALWAYS: dict[str, dict[str, str]] = {
    "MyCaffe": mycaffe.ALWAYS,
    "happynear's fork": {
        "InnerProductParameter": "normalize",
    },
    "DeepDetect's fork (jolibrain)": {
        "NonMaximumSuppressionParameter": "soft_nms",
    },
    "NVCaffe": {
        "LossParameter": "label_smoothing",
        "ImageDataParameter": "short_side",
    },
    "the forks that fuse layers (Intel, naibaf7)": {  # what is not taken apart
        "ConvolutionParameter": "fuse_type relu_param eltwise_param prelu_param relu "
        "negative_slope",
        "InnerProductParameter": "relu negative_slope",
        "BatchNormParameter": "relu fused_relu",
        "LRNParameter": "fuse_type pooling_param",
    },
    "Intel's Caffe": {
        "TransformationParameter": "bgr2rgb flow pad",
        "ImageDataParameter": "min_height min_width",
    },
    "yjxiong's fork": {
        "TransformationParameter": "is_flow stride upper_size upper_height upper_width",
        "VideoDataParameter": "num_segments modality name_pattern encoded grayscale",
    },
    "the forks of C3D and yjxiong": {
        "VideoDataParameter": "source batch_size rand_skip shuffle new_height new_width new_length",
    },
    "PSPNet's fork": {
        "TransformationParameter": "crop_height crop_width",
        "ImageDataParameter": "label_type ignore_label",
    },
    "the fork of MobileNet-YOLO": {
        "TransformationParameter": "min_side cvt_bgr2rgb",
        "AnnotatedDataParameter": "single_class seg_scales seg_resize_width seg_resize_height",
    },
    "the fork of ENet": {"ImageDataParameter": "label_divide_factor"},
    "the fork of C3D": {
        "ImageDataParameter": "new_length use_image sampling_rate use_label use_temporal_jitter "
        "mean_value num_truth_channels use_byte_input is_flow truth_scale clip_min clip_max",
        "VideoDataParameter": "is_color scale mean_file crop_size mirror root_folder use_image "
        "use_temporal_jitter sampling_rate max_sampling_rate use_sampling_rate_jitter "
        "use_multiple_label num_of_labels",
    },
    "the fork of JigsawPuzzleSolver": {
        "TransformationParameter": "hash_file siamese_size patch_size",
    },
    "FlowNet's forks": {
        "DataParameter": "preselection_file preselection_label range_start range_end "
        "rand_permute rand_permute_order rand_permute_seed permute_every_iter block_size "
        "slice_point encoding subtract limit_samples",
    },
    "HED's forks": {
        "ImageDataParameter": "normalize",
    },
    "the fork of DeBlurNet": {
        "ImageDataParameter": "label",
    },
    "the fork of deepsaldet": {
        "WindowDataParameter": "shuffle",
    },
    "the fork of Evolving-AI-Lab": {"ImageDataParameter": "images_in_color"},
    "a fork for channel pruning": {"ImageDataParameter": "bicubic new_dim"},
}


def _table() -> dict[tuple[str, str], ForkField]:
    found: dict[tuple[str, str], ForkField] = {}
    tables = (_NONE, _TRAIN, _ALWAYS, _UPDATE)
    for effect, forks in zip(Effect, tables, strict=True):
        for fork, messages in forks.items():
            for message, names in messages.items():
                for name in names.split():
                    found.setdefault((message, name), ForkField(fork, effect))
    return found


FIELDS = _table()
"""(message, field) to what is known of it."""


ENGINES = dict.fromkeys(("MKL2017", "MKLDNN"), "Intel's Caffe") | dict.fromkeys(
    ("LIBDNN", "INTEL_SPATIAL", "FFT"), "naibaf7's fork"
)
"""Words that a field `engine` has in a fork alone."""


def engine_of(item: Field) -> str | None:
    """The fork whose own engine a layer is to use."""
    value = item.value
    if item.name != "engine" or not isinstance(value, Scalar) or value.kind != "word":
        return None
    return ENGINES.get(str(value.value))


_SWITCHES: dict[tuple[str, str], tuple[str, ...]] = {
    ("NonMaximumSuppressionParameter", "soft_nms"): mycaffe.NO,
    ("ConvolutionParameter", "fuse_type"): ("UNFUSED",),
    ("LRNParameter", "fuse_type"): ("UNFUSED",),
    ("ConvolutionParameter", "relu"): mycaffe.NO,
    ("InnerProductParameter", "relu"): mycaffe.NO,
    ("BatchNormParameter", "relu"): mycaffe.NO,
    ("BatchNormParameter", "fused_relu"): mycaffe.NO,
    **mycaffe.SWITCHES,
}
"""Those that change nothing with some values."""

WORDS = mycaffe.WORDS
"""Fields with a word that only a fork has; with others they are Caffe's."""


def _effective(key: tuple[str, str], item: Field) -> ForkField | None:
    """What is known of a field with the value that it has."""
    known = FIELDS.get(key)
    if known is None and (fork := engine_of(item)):
        return ForkField(fork, Effect.NONE)
    if known is not None and key in _SWITCHES and isinstance(item.value, Scalar):
        off = str(item.value.value) in _SWITCHES[key]
        return ForkField(known.fork, Effect.NONE) if off else known
    return known


def foreign_fields(message: Message) -> Iterator[tuple[Field, ForkField]]:
    """The listed fields of forks that a message and all that it holds give."""
    if not _holds_foreign(message):
        return
    for item in message.foreign:
        known = _effective((type(message).__name__, item.name), item)
        if known is not None:
            yield item, known
    for spec, value in message.set_fields():
        if spec.message_type is not None:
            for inner in value if spec.repeated else [value]:
                yield from foreign_fields(inner)


def _holds_foreign(message: Message) -> bool:
    """Is there any? Nearly always not, and this is the quick way to know."""
    if message.foreign:
        return True
    for value in message.stored().values():
        if isinstance(value, list):
            if value and isinstance(value[0], Message) and any(map(_holds_foreign, value)):
                return True
        elif isinstance(value, Message) and _holds_foreign(value):
            return True
    return False


def refusals(layer: Message, name: str, train: bool) -> list[Problem]:
    """What is said of a layer that is there in phase TRAIN, or TEST, with fields that would change
    its numbers and are not followed."""
    return [
        Problem(
            f'layer "{name}": {item.name} is a field of {known.fork} that is not followed here, '
            f"and it changes what the layer gives {known.effect.value}",
            item.span,
            "the layer without it",
            "for a look at the net without its data: --shape",
        )
        for item, known in foreign_fields(layer)
        if known.effect is Effect.ALWAYS or (train and known.effect is Effect.TRAIN)
    ]


def update_refusals(net: Message) -> list[Problem]:
    """What is said of a net that is to be trained, with fields that would change its updates and
    are not followed."""
    return [
        _of_updates(item, known, "net")
        for item, known in foreign_fields(net)
        if known.effect is Effect.UPDATE
    ]


def solver_refusals(solver: Message) -> list[Problem]:
    """The same of a solver's own fields; nets that are written into it are not looked at."""
    return [
        _of_updates(item, known, "solver")
        for item in solver.foreign
        if (known := FIELDS.get((type(solver).__name__, item.name))) is not None
        and known.effect is Effect.UPDATE
    ]


def _of_updates(item: Field, known: ForkField, kind: str) -> Problem:
    return Problem(
        f"{item.name} is a field of {known.fork} that is not followed here, and it changes "
        "how parameters are updated",
        item.span,
        f"the {kind} without it",
        f"for a look at the {kind} alone: caffelite check --no-data",
    )


def unfollowed(message: Message) -> list[Problem]:
    """One warning that lists the fields of forks that change no result, or none in phase TEST; for
    those that do, see `refusals`."""
    names: dict[tuple[Effect, str], dict[str, None]] = {}
    first = None
    for item, known in foreign_fields(message):
        if known.effect is not Effect.ALWAYS:
            first = first or item.span
            names.setdefault((known.effect, known.fork), {})[item.name] = None
    parts = [
        f"{', '.join(found)} ({fork}{_WHERE.get(effect, '')})"
        for (effect, fork), found in names.items()
    ]
    if not parts:
        return []
    text = "; ".join(parts)
    return [Problem(f"fields that change no result here are not followed: {text}", first)]


_WHERE = {Effect.TRAIN: ", for phase TRAIN", Effect.UPDATE: ", for updates"}
