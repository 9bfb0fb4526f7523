"""The first backward pass after gradients were cleared: it writes them, and need not add."""

from __future__ import annotations

from caffelite.layers.base import Gradients


class Overwriting:
    """Within it the gradients of parameters are written anew."""

    __slots__ = ("_gradients",)

    def __init__(self, gradients: Gradients) -> None:
        self._gradients = gradients

    def __enter__(self) -> None:
        self._gradients.fresh = True

    def __exit__(self, *failure: object) -> None:
        self._gradients.fresh = False
