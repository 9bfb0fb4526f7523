"""Which engine runs the passes of a layer on the bench.

An engine is a function from a layer, ready to run, to its `Passes`. The promises are held against
what the passes do, so that every engine answers for the same contract. To test another engine, add
it here by name:

    @engine("mine")
    def mine(layer: Layer) -> Passes: ...

Where an engine does not take a layer over, it raises `DoesNotApply` with the reason.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from caffelite.engines.torch import ENGINE as torch_engine
from caffelite.errors import CaffeliteError, Problem, did_you_mean
from caffelite.layers.base import Arrays, Diffs, Layer


class DoesNotApply(Exception):
    """A promise says nothing about this layer; the reason in words."""


class Passes(Protocol):
    """How the passes of one layer are run. All arrays are NumPy's, made by the bench."""

    def prepare(self) -> None:
        """Called after the layer's own `prepare`, whenever a shape has changed."""

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        """Write the tops."""

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        """Overwrite the bottoms' gradients that are not None; add to `layer.params[i].diff`."""


Engine = Callable[[Layer], Passes]

ENGINES: dict[str, Engine] = {}
"""The known engines by name."""


def engine(name: str) -> Callable[[Engine], Engine]:
    """Make an engine known to the bench, under this name."""

    def add(make: Engine) -> Engine:
        ENGINES[name] = make
        return make

    return add


def check_engine(name: str) -> None:
    """Raise CaffeliteError if there is no such engine."""
    if name not in ENGINES:
        expected, hint = "one of " + ", ".join(ENGINES), did_you_mean(name, ENGINES)
        raise CaffeliteError(Problem(f'there is no engine "{name}"', None, expected, hint))


@engine("numpy")
class NumpyPasses:
    """The layer's own methods."""

    def __init__(self, layer: Layer) -> None:
        self.layer = layer

    def prepare(self) -> None:
        """Nothing beside what the layer prepares."""

    def forward(self, bottom: Arrays, top: Arrays) -> None:
        """`Layer.forward`."""
        self.layer.forward(bottom, top)

    def backward(self, top: Arrays, top_diff: Arrays, bottom: Arrays, bottom_diff: Diffs) -> None:
        """`Layer.backward`."""
        self.layer.backward(top, top_diff, bottom, bottom_diff)


@engine("torch")
def torch_passes(layer: Layer) -> Passes:
    """What the engine `torch` runs for the layer, by itself. Needs PyTorch."""
    missing = torch_engine.missing()
    if missing:
        raise CaffeliteError(Problem(missing))
    from caffelite.engines.torch.passes import TorchPasses

    passes: Passes = TorchPasses(layer)
    return passes
