"""Case: a small example of a layer, with values that were worked out independently.

Each layer carries a few. They are its documentation (`caffelite layers TYPE` prints the first) and
its tests: every case goes through the contract tests, in float32 and float64, with the gradients
of all bottoms and parameters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from caffelite.schema.common import Phase


@dataclass(frozen=True)
class Random:
    """Values drawn anew from a fixed stream: uniform in [low, high), or whole numbers."""

    shape: tuple[int, ...]
    low: float = -1.0
    high: float = 1.0
    whole: bool = False

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        if self.whole:
            return rng.integers(int(self.low), int(self.high), self.shape).astype(np.float64)
        return rng.uniform(self.low, self.high, self.shape)


def random(*shape: int, low: float = -1.0, high: float = 1.0) -> Random:
    """An input of that shape, uniform in [low, high)."""
    return Random(shape, low, high)


def labels(*shape: int, classes: int) -> Random:
    """Labels 0 … classes-1."""
    return Random(shape, 0, classes, whole=True)


@dataclass(frozen=True)
class Case:
    """One layer in text, its inputs, and what must come out.

    `text` is the layer without its name, bottoms and tops: `type: "ReLU" relu_param { … }`; the
    bottoms are the keys of `inputs` in order, the tops `tops` (default: of `outputs`, or "y").
    A value is a nested list, an array or `random(…)`. `params` gives the learned parameters; those
    not given are drawn at random (uniform in [-1, 1)). `outputs` may name some tops only.
    """

    text: str
    inputs: Mapping[str, Any] = field(default_factory=dict)
    outputs: Mapping[str, Any] = field(default_factory=dict)
    params: Sequence[Any] = ()
    tops: Sequence[str] | None = None
    phase: Phase = Phase.TRAIN
    gradient: bool = True  # False where the values lie on a kink; say why beside it
    note: str = ""

    @property
    def top_names(self) -> list[str]:
        return list(self.outputs or ["y"]) if self.tops is None else list(self.tops)

    def layer_text(self, name: str = "layer") -> str:
        """The layer as it stands in a net file."""
        bottoms = "".join(f' bottom: "{b}"' for b in self.inputs)
        tops = "".join(f' top: "{t}"' for t in self.top_names)
        kind, _, rest = self.text.strip().partition('"')
        type_name, _, params = rest.partition('"')
        head = f'name: "{name}" {kind}"{type_name}"{bottoms}{tops}'
        return f"layer {{ {head} {params.strip()} }}".replace("  ", " ")

    def net_text(self) -> str:
        """A whole net: an Input for each bottom, then the layer."""
        lines = ["force_backward: true"]
        for name, value in self.inputs.items():
            shape = value.shape if isinstance(value, Random) else np.shape(value)
            dims = " ".join(f"dim: {n}" for n in shape)
            lines.append(
                f'layer {{ name: "in_{name}" type: "Input" top: "{name}" '
                f"input_param {{ shape {{ {dims} }} }} }}"
            )
        return "\n".join([*lines, self.layer_text()])

    @staticmethod
    def shown(value: Any, before: str = "") -> str:
        """A value of the case for people to read, after the text `before`."""
        if isinstance(value, Random):
            shape = " x ".join(map(str, value.shape))
            return f"{before}{shape} random values from {value.low:g} to {value.high:g}"
        array = np.asarray(value)
        return before + np.array2string(array, precision=4, separator=", ", prefix=before)

    def arrays(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """The inputs' values."""
        return {
            name: value.draw(rng) if isinstance(value, Random) else np.asarray(value, np.float64)
            for name, value in self.inputs.items()
        }
