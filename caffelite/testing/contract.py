"""The contract as a list of promises, and what it takes to hold them against a layer.

A promise is a function of a `Subject`: a case of a layer, in one type of numbers, under one engine.
It raises `Broken` with what is wrong, or `DoesNotApply` with the reason why it says nothing about
the subject (no gradient, no bottoms). A promise about all cases of a type together takes the list
of its subjects (`together=True`).
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, NoReturn

import numpy as np

from caffelite.blob import Array
from caffelite.errors import CaffeliteError, Problem, did_you_mean
from caffelite.layers.base import Layer, registry
from caffelite.layers.cases import Case
from caffelite.testing.bench import Bench
from caffelite.testing.engines import DoesNotApply, check_engine

FLOAT64: tuple[type, ...] = (np.float64,)
BOTH: tuple[type, ...] = (np.float64, np.float32)


class Broken(AssertionError):
    """A promise that a layer does not keep."""


@dataclass(frozen=True)
class Subject:
    """A case of a layer, in one type of numbers, under one engine."""

    cls: type[Layer]
    case: Case
    dtype: type = np.float64
    engine: str = "numpy"
    folder: str = ""
    """Where the files are that the case names."""
    label: str = "case 1"
    """What messages call the case."""

    def bench(self, planned: Layer | None = None) -> Bench:
        """The layer on a bench of its own; `planned`: as it was planned for another one."""
        return Bench(self.case, self.dtype, self.cls, self.folder, self.engine, planned)

    @property
    def loose(self) -> float:
        """What another order of additions may change, relative to the largest value."""
        return 1e-5 if self.dtype == np.float32 else 1e-12

    def __str__(self) -> str:
        return f"{self.label}, {np.dtype(self.dtype).name}: {self.case.text.strip()}"


@dataclass(frozen=True, eq=False)
class Promise:
    """One thing that every layer promises."""

    name: str
    check: Callable[[Any], None]
    """Called with a Subject, or with all of them if `together`."""
    dtypes: tuple[type, ...] = BOTH
    together: bool = False

    @property
    def text(self) -> str:
        """What is promised, in a sentence or two."""
        return " ".join((self.check.__doc__ or "").split())

    def __call__(self, subject: Any) -> None:
        self.check(subject)


PROMISES: list[Promise] = []
"""All promises, in the order in which they are held against a layer."""


def promise(
    dtypes: tuple[type, ...] = BOTH, together: bool = False
) -> Callable[[Callable[[Any], None]], Promise]:
    """Make a function a promise of the contract; its docstring says what is promised."""

    def add(check: Callable[[Any], None]) -> Promise:
        made = Promise(check.__name__, check, dtypes, together)
        PROMISES.append(made)
        return made

    return add


class Outcome(NamedTuple):
    """What came of one promise: what is wrong, or why it says nothing about the layer."""

    broken: list[str]
    skipped: str | None


def subjects_of(
    layer: type[Layer] | str,
    cases: Sequence[Case] | None = None,
    engine: str = "numpy",
    folder: str = "",
) -> list[Subject]:
    """The cases of a layer's class, or of a registered type; its own `cases` unless others are
    given. Raises CaffeliteError if there is no such type or engine, or if it has no cases."""
    check_engine(engine)
    if isinstance(layer, str) and layer not in registry:
        hint = did_you_mean(layer, registry) or "give the class, or import the module that has it"
        raise CaffeliteError(Problem(f'there is no layer type "{layer}"', hint=hint))
    cls = registry[layer] if isinstance(layer, str) else layer
    cases = cls.cases if cases is None else cases
    if not cases:
        raise CaffeliteError(
            Problem(
                f"{cls.__name__} has no cases to be tested with",
                expected="small examples on the class: "
                f"cases = (Case('type: \"{cls.type or cls.__name__}\"', "
                '{"x": [[1.0, 2.0]]}, {"y": [[1.0, 4.0]]}),)',
                hint="from caffelite.testing import Case",
            )
        )
    return [
        Subject(cls, case, np.float64, engine, folder, f"case {i + 1}")
        for i, case in enumerate(cases)
    ]


def hold(check: Promise, subjects: Sequence[Subject]) -> Outcome:
    """Hold a promise against all cases of a layer, in every type of numbers that it is about."""
    broken: list[str] = []
    reasons: list[str] = []
    held = False
    calls: list[tuple[Any, str]] = [(list(subjects), "")] if check.together else []
    if not check.together:
        typed = [replace(s, dtype=dtype) for s in subjects for dtype in check.dtypes]
        calls = [(subject, f"{subject}\n    ") for subject in typed]
    for argument, place in calls:
        try:
            check(argument)
            held = True
        except DoesNotApply as reason:
            reasons.append(str(reason))
        except Broken as error:
            broken.append(f"{place}{error}")
        except Exception as error:  # a crash breaks the promise as well
            broken.append(f"{place}{type(error).__name__}: {error} ({_where(error)})")
    nothing = not held and not broken
    return Outcome(broken, "; ".join(dict.fromkeys(reasons)) if nothing else None)


def _where(error: Exception) -> str:
    """The last line of code before an exception."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "no traceback"


# What the promises use.


def off(found: Array, expected: Array, tolerance: float) -> str | None:
    """How two arrays differ by more than tolerance · max(1, largest expected value), if so."""
    if found.shape != expected.shape:
        return f"has the shape {found.shape}, expected {expected.shape}"
    finite = np.isfinite(expected)
    if not np.array_equal(finite, np.isfinite(found)):
        return f"is {found.tolist()}, expected {expected.tolist()}"
    if not np.array_equal(found[~finite], expected[~finite], equal_nan=True):
        return f"is {found.tolist()}, expected {expected.tolist()}"
    a, b = np.asarray(found, np.float64)[finite], np.asarray(expected, np.float64)[finite]
    error = float(np.abs(a - b).max(initial=0))
    limit = tolerance * max(1.0, float(np.abs(b).max(initial=0)))
    return None if error <= limit else f"is off by {error:.3g} (limit {limit:.2g})"


def same(found: dict[str, Array], expected: dict[str, Array], tolerance: float, when: str) -> None:
    """Raise Broken unless all expected arrays are found, to a tolerance."""
    for name, value in expected.items():
        difference = off(found[name], value, tolerance)
        if difference:
            raise Broken(f"{when}, {name} {difference}")


def fail(message: str) -> NoReturn:
    """The promise is broken."""
    raise Broken(message)


def needs(condition: object, otherwise: str) -> None:
    """The promise applies only where this holds; otherwise it is skipped with the reason."""
    if not condition:
        raise DoesNotApply(otherwise)


def needs_backward(bench: Bench) -> None:
    """The promise applies only to layers with a backward pass."""
    needs(bench.has_backward, "has no gradient to pass and nothing to learn")
