"""Values for a net's inputs where there are no data."""

from __future__ import annotations

import numpy as np

from caffelite.layers.samples import random_inputs
from caffelite.net import Net


def fill_inputs(net: Net, seed: int = 0) -> None:
    """Fill all inputs with random values that the layers which read them accept."""
    shapes = {name: net.blobs[name].shape for name in net.inputs}
    for name, values in random_inputs(net.layers, shapes, np.random.default_rng(seed)).items():
        net.blobs[name].data[...] = values
