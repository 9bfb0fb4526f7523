"""Ops: one file for each family of layers. Importing this registers them all."""

from caffelite.engines.torch.ops import (  # noqa: F401
    accuracy,
    batch_norm,
    convolution,
    dropout,
    eltwise,
    inner_product,
    interp,
    joining,
    losses,
    lrn,
    lstm,
    neuron,
    pooling,
    scale,
    softmax,
)
