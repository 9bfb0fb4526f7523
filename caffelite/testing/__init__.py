"""Is a layer right? The contract that the layers of caffelite itself are held to, for yours.

    from caffelite.testing import check_layer
    from my_layers import Square

    for skip in check_layer(Square):        # raises BrokenPromises with all that is wrong
        print(skip)                         # what was not held against it, and why

or as tests, one for each promise:

    from caffelite.testing import contract_tests
    from my_layers import Square

    test_square = contract_tests(Square)    # in a file that pytest collects

A layer is tested with the cases on its class, small examples as the documentation prints them:

    cases = (Case('type: "Square"', {"x": [[1.0, -3.0]]}, {"y": [[1.0, 9.0]]}),)

Each case is run in float32 and float64. The promises are in `caffelite.testing.promises`: tops
are written as declared and as worked out by hand, gradients agree with finite differences, are
overwritten or added up, nothing else is changed, a seed repeats, memory order and type do not
matter, other batch sizes work, in place is the same, a net runs the layer alike, the text comes
back, all is documented. `check_layer(Square, engine="...")` holds an engine to the same contract.

`gradients` checks a whole net's gradients. Only NumPy is needed; `contract_tests` needs pytest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from caffelite.layers.base import Layer
from caffelite.layers.cases import Case, labels, random
from caffelite.testing import promises as _promises
from caffelite.testing.bench import Bench
from caffelite.testing.contract import (
    PROMISES,
    Broken,
    Outcome,
    Promise,
    Subject,
    hold,
    promise,
    subjects_of,
)
from caffelite.testing.engines import ENGINES, DoesNotApply, Passes, engine

__all__ = ["ENGINES", "PROMISES", "Bench", "Broken", "BrokenPromises", "Case", "DoesNotApply"]
__all__ += ["Outcome", "Passes", "Promise", "Skip", "Subject", "check_layer", "contract_tests"]
__all__ += ["engine", "hold", "labels", "promise", "random", "subjects_of"]

assert _promises  # importing them has put them into PROMISES


@dataclass(frozen=True)
class Skip:
    """A promise that says nothing about a layer, and why."""

    promise: str
    reason: str

    def __str__(self) -> str:
        return f"{self.promise}: {self.reason}"


class BrokenPromises(AssertionError):
    """What a layer does not keep; `broken` has the promises' names with what is wrong."""

    def __init__(self, layer: str, broken: dict[str, list[str]], count: int) -> None:
        self.broken = broken
        lines = [f"{layer} breaks {len(broken)} of {count} promises:"]
        text = {p.name: p.text for p in PROMISES}
        for name, wrong in broken.items():
            lines += ["", f"{name}: {text.get(name, '')}", *(f"  {what}" for what in wrong)]
        super().__init__("\n".join(lines))


def check_layer(
    layer: type[Layer] | str,
    *,
    cases: Sequence[Case] | None = None,
    engine: str = "numpy",
    folder: str = "",
) -> list[Skip]:
    """Hold all promises against a layer, its class or the name of a registered type, and return
    those that say nothing about it.

    `cases` replace those of the class; `folder` is where the files are that they name.
    Raises BrokenPromises with everything that is wrong, CaffeliteError if there are no cases."""
    subjects = subjects_of(layer, cases, engine, folder)
    outcomes = {check.name: hold(check, subjects) for check in PROMISES}
    broken = {name: outcome.broken for name, outcome in outcomes.items() if outcome.broken}
    if broken:
        raise BrokenPromises(subjects[0].cls.__name__, broken, len(outcomes))
    return [Skip(name, o.skipped) for name, o in outcomes.items() if o.skipped is not None]


def contract_tests(
    *layers: type[Layer] | str | Sequence[Subject], engines: Sequence[str] = ("numpy",)
) -> Callable[..., None]:
    """A test function for pytest, parametrised over promises, layers and engines. A promise that
    says nothing about a layer is skipped with the reason."""
    from caffelite.testing.with_pytest import make_tests

    return make_tests(layers, engines)
