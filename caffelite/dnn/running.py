"""What runs the passes of a net: ONNX Runtime from when it is worth its start, and where it can."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import caffelite
from caffelite import mode
from caffelite.blob import Array, Shape
from caffelite.dnn.planning import how_many
from caffelite.engines import AUTO, VARIABLE, engines
from caffelite.errors import CaffeliteError
from caffelite.kernels import parallel

if TYPE_CHECKING:
    from caffelite.engines.onnxruntime.inference import Inference

RUNTIME = "onnxruntime"
WORTH = 20_000_000
"""Multiply-adds, of all passes so far, from which ONNX Runtime is worth its start."""
OF_A_LAYER = 20_000
"""How many NumPy does in the time that it takes to call a layer."""

Places = tuple[tuple[int, int], ...]
"""Tops: the numbers of their layers, and which of the tops."""


class Models:
    """The models of one net, each for some of its tops. The last ones are kept."""

    def __init__(self) -> None:
        self._held: list[tuple[Places, int, Inference]] = []
        self._done = 0.0
        """The multiply-adds of the passes until ONNX Runtime was worth its start."""
        self._work: float | None = None
        """Those of a pass, for each value that goes in."""
        self._usable: bool | None = None

    def clear(self) -> None:
        """The parameters have changed."""
        self._held.clear()

    def run(
        self,
        net: caffelite.Net,
        given: Mapping[str, Array],
        places: Places,
        plan: Callable[[], caffelite.Net],
    ) -> list[Array] | None:
        """The tops for these inputs, in arrays of their own; None: the net must run by itself.
        `plan` plans it for the inputs, and raises NetError where they do not fit."""
        shapes = {name: array.shape for name, array in given.items()}
        if not self._is_worth_it(net, shapes) or any(net.layers[at].fed for at, _ in places):
            return None
        threads = parallel.threads()
        for entry in self._held:
            if entry[:2] == (places, threads) and entry[2].takes(shapes):
                model: Inference | None = entry[2]
                break
        else:
            model = self._make(net, shapes, places, threads, plan)
            if model is None:
                return None
            del self._held[: max(0, len(self._held) - how_many(net) + 1)]
            self._held.append((places, threads, model))
        found = model(given) if model else None
        self._usable = found is not None  # one that fails is not tried again
        return found

    def _make(
        self,
        net: caffelite.Net,
        shapes: Mapping[str, Shape],
        places: Places,
        threads: int,
        plan: Callable[[], caffelite.Net],
    ) -> Inference | None:
        from caffelite.engines.onnxruntime.inference import Inference
        from caffelite.engines.onnxruntime.planes import any_size

        if not any_size(net.layers):
            net = plan()
        try:
            first = all(held != places for held, _, _ in self._held)
            model = Inference(net, places, threads, fixed=first)
        except CaffeliteError:  # some layer cannot be said: the net's own passes run it
            self._usable = False
            return None
        return model if model.takes(shapes) else None

    def _is_worth_it(self, net: caffelite.Net, shapes: Mapping[str, Shape]) -> bool:
        """Is ONNX Runtime asked for, or the fastest by now? Where another engine or device has been
        asked for, it is not."""
        asked = mode.request.engine or os.environ.get(VARIABLE) or AUTO
        if asked not in (AUTO, RUNTIME) or (mode.request.device or "cpu") != "cpu":
            return False
        if self._usable is None:
            engine = engines()[RUNTIME]
            self._usable = engine.missing() is None and engine.refuses(net.plan) is None
        if not self._usable or asked == RUNTIME or self._done >= WORTH:
            return self._usable
        blobs, planned = net.plan.graph.blobs, net.plan.shapes
        if self._work is None:
            values = sum(math.prod(planned[blobs[name].first]) for name in shapes)
            self._work = net.plan.work() / max(1, values)
        self._done += self._work * sum(map(math.prod, shapes.values()))
        self._done += OF_A_LAYER * len(net.layers)
        return self._done >= WORTH
