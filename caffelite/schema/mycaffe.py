"""MyCaffe's fields, and the values with which they change nothing."""

from __future__ import annotations

NO = ("false", "False", "f", "0")

NONE = {
    "DataParameter": "display_timing enable_debug_output data_debug_param primary_data",
    "MemoryDataParameter": "label_channels label_height label_width primary_data",
    "ConvolutionParameter": "cudnn_workspace_limit cudnn_workspace_allow_on_groups "
    "cudnn_worspace_allow_on_groups cudnn_enable_tensor_cores",
    "InnerProductParameter": "output_contains_predictions",
    "RecurrentParameter": "engine dropout_seed",
    "TripletLossParameter": "pregen_label_start",  # of a fifth bottom, which is refused
    "NetStateRule": "phase",  # RUN, which no net here is in
}
"""What changes no result."""

TRAIN = {
    "DataParameter": "enable_random_selection",
    "RecurrentParameter": "dropout_ratio",
    "TransformationParameter": "distortion_param",
}
"""What could change one in phase TRAIN."""

ALWAYS = {
    "DataParameter": "backend enable_pair_selection label_type synchronize_target "
    "synchronize_with images_per_blob output_all_labels balance_matches "
    "output_image_information forced_primary_label enable_noise_for_nonmatch data_noise_param "
    "one_hot_label_size score_norm_param time_align output_image_index",
    "MemoryDataParameter": "label_type",
    "InnerProductParameter": "enable_noise sigma_init bias_grad_scale",
    "RecurrentParameter": "num_layers",
    "TransformationParameter": "use_imagedb_mean use_image_mean color_order mask_param "
    "label_mapping",
}
"""What could change one in both phases."""

SWITCHES = {
    ("DataParameter", "label_type"): ("SINGLE",),
    ("InnerProductParameter", "enable_noise"): NO,
    ("RecurrentParameter", "num_layers"): ("1",),
    ("RecurrentParameter", "dropout_ratio"): ("0",),
    ("MemoryDataParameter", "label_type"): ("NONE",),
    **{("DataParameter", name): NO for name in ("enable_random_selection", "output_all_labels")},
    **{("TransformationParameter", name): NO for name in ("use_imagedb_mean", "use_image_mean")},
}
"""Those that change nothing with some values."""

WORDS = {("DataParameter", "backend"): {"IMAGEDB"}, ("NetStateRule", "phase"): {"RUN"}}
"""Fields with a word of its own; with others they are Caffe's."""
