"""The hot array functions that layers call, in plain NumPy.

All work in the type of their arrays, float32 or float64, and write into arrays that they are given;
scratch comes from a `Workspace`, so that a pass in a steady state allocates nothing large. Inputs
may be non-contiguous; arrays that are written are C-contiguous. Large work is done in tiles that
fit the cache, by several threads; see `parallel`.
"""

from caffelite.kernels.columns import col2im, im2col
from caffelite.kernels.convolution import (
    add_bias,
    conv_backward_bias,
    conv_backward_data,
    conv_backward_weights,
    conv_forward,
)
from caffelite.kernels.lrn import lrn_backward, lrn_forward
from caffelite.kernels.pooling import (
    ave_pool_backward,
    ave_pool_forward,
    max_pool_backward,
    max_pool_forward,
    max_pool_mask,
    pool_output_shape,
    tap_type,
)
from caffelite.kernels.product import add_product, is_large, product
from caffelite.kernels.stochastic import (
    stochastic_pool_forward,
    stochastic_pool_test,
    stochastic_pool_test_backward,
)
from caffelite.kernels.window import Window
from caffelite.kernels.workspace import Workspace, shared_workspace

__all__ = [
    "Window",
    "Workspace",
    "add_bias",
    "add_product",
    "ave_pool_backward",
    "ave_pool_forward",
    "col2im",
    "conv_backward_bias",
    "conv_backward_data",
    "conv_backward_weights",
    "conv_forward",
    "im2col",
    "is_large",
    "lrn_backward",
    "lrn_forward",
    "max_pool_backward",
    "max_pool_forward",
    "max_pool_mask",
    "pool_output_shape",
    "product",
    "shared_workspace",
    "stochastic_pool_forward",
    "stochastic_pool_test",
    "stochastic_pool_test_backward",
    "tap_type",
]
