"""What runs the passes of a net: ONNX Runtime from when it is worth its start, and where it can."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

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


def again(names: str | list[str], run: Callable[[], tuple[Array, ...]]) -> Callable[[Any], Any]:
    """The last pass once more: the same arrays, with other values, and the same question. Nothing
    is looked up or planned, which would be half of a small net's time. Nor is the environment: that
    would be a twentieth of it.

    Called with names it gives what the pass gives; None: it is another one, or ONNX Runtime may not
    or cannot run."""
    kind, alone, threads, request = (
        type(names),
        isinstance(names, str),
        parallel.threads(),
        mode.request,
    )

    def repeat(asked: Any) -> Any:
        if (
            type(asked) is not kind
            or asked != names
            or parallel.threads() != threads
            or not _allowed(request.engine)
        ):
            return None
        try:
            found = run()
        except Exception:  # of ONNX Runtime's own kinds: the long way says what is wrong
            return None
        return found[0] if alone else found

    return repeat


class Models:
    """The models of one net, each for some of its tops. The last ones are kept."""

    def __init__(self) -> None:
        self.again: Callable[[Any], Any] | None = None
        """The last pass, where it has come twice."""
        self._last: tuple[Inference, str | list[str]] | None = None
        """Which model the last pass ran, and what was asked for."""
        self._held: list[tuple[Places, int, Inference]] = []
        self._done = 0.0
        """The multiply-adds of the passes until ONNX Runtime was worth its start."""
        self._work: float | None = None
        """Those of a pass, for each value that goes in."""
        self._usable: bool | None = None

    def clear(self) -> None:
        """The parameters have changed."""
        self._held.clear()
        self.forget()

    def forget(self) -> None:
        """The arrays of the inputs have changed."""
        self.again = self._last = None

    def remember(self, names: Any, given: Mapping[str, Array], places: Places) -> None:
        """A pass over these arrays is done: after the second one of a kind the next needs no
        looking up. Names in a list or alone only: others may not come twice."""
        threads = parallel.threads()
        held = [model for at, n, model in self._held if (at, n) == (places, threads)]
        self.again = None
        if not held or type(names) not in (str, list):
            self._last = None
        elif self._last != (held[-1], names):
            self._last = held[-1], names if isinstance(names, str) else list(names)
        elif (run := held[-1].bound(given, matrix)) is not None:
            self.again = again(self._last[1], run)

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
        if not self._usable:
            self.forget()
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
        asked = mode.request.engine or os.environ.get(VARIABLE)
        if not _allowed(asked):
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


def _allowed(engine: str | None) -> bool:
    """May ONNX Runtime run, where this engine is asked for?"""
    return (engine or AUTO) in (AUTO, RUNTIME) and mode.request.device in (None, "cpu")


def matrix(array: Array) -> Array:
    """OpenCV's arrays have two axes or more."""
    return array.reshape(-1, 1) if array.ndim < 2 else array
