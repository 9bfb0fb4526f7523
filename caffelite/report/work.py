"""How many multiply-adds a layer's forward pass takes.

Counted are the products with learned weights, as papers count them; biases, pooling, normalisation
and activations are left out. A layer that has such products says so with a method
`multiply_adds(bottom_shapes, top_shapes)`; one of one's own may have it too.
"""

from __future__ import annotations

from caffelite.layers.base import Layer, Shapes


def multiply_adds(layer: Layer, bottom: Shapes, top: Shapes) -> int:
    """The multiply-adds of one forward pass; 0 for layers without products with weights."""
    own = getattr(layer, "multiply_adds", None)
    if own is None or any(0 in shape for shape in (*bottom, *top)):
        return 0
    return int(own(bottom, top))
