"""What layers carry from one forward pass to the next: the states of LSTM, RNN and Lstm."""

from __future__ import annotations

from typing import Any

from caffelite.blob import Array
from caffelite.layers.base import Layer
from caffelite.layers.lstm_rows import Lstm
from caffelite.layers.recurrent import Recurrent


def carried(layer: Layer) -> tuple[str, ...]:
    """The names of what a layer carries; none where it starts anew each time, or where blobs hold
    its state."""
    if isinstance(layer, Recurrent):
        return () if layer.exposed else layer.hidden
    return ("h", "c") if isinstance(layer, Lstm) and not layer.repeatable else ()


def values(layer: Any) -> list[Array]:
    """What it carries now, each (N, H), in the order of the names."""
    found: list[Array] = layer._carried
    return found


def forget(layer: Layer) -> None:
    """Let it start from zeros, as at first."""
    if carried(layer):
        for value in values(layer):
            value.fill(0)
