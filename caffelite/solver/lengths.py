"""How long runs and tests are, where the solver file leaves it to the size of the data."""

from __future__ import annotations

from collections.abc import Sequence

from caffelite.errors import Problem, SolverError
from caffelite.schema.solver import SolverParameter
from caffelite.solver.testing import DataSize

MAX_ITER = "how many iterations to run, max_iter: 1000"


def no_end(param: SolverParameter) -> Problem:
    """What is said of a solver that is to run to its end, and has none."""
    return Problem("the solver has no max_iter", param.span(), MAX_ITER)


def with_max_iter(param: SolverParameter, data: DataSize | None) -> SolverParameter:
    """A copy in which `max_epoch` has become `max_iter`: as many iterations as use every sample
    of the training data that often."""
    if data is None:
        raise SolverError(
            Problem(
                "max_epoch cannot be used: the training data has no known size",
                param.span("max_epoch"),
                MAX_ITER,
            )
        )
    per_iteration = data.batch * param.iter_size
    counted = param.copy()
    counted.max_iter = -(-param.max_epoch * data.size // per_iteration)
    counted.max_epoch = None  # type: ignore[assignment]
    return counted


def test_iterations(param: SolverParameter, data: Sequence[DataSize | None]) -> list[int]:
    """Batches per test for each net: `test_iter`, or as many as cover the test set once."""
    if param.test_iter:
        return list(param.test_iter)
    return [_whole_set(size, param) for size in data]


def _whole_set(data: DataSize | None, param: SolverParameter) -> int:
    if data is not None:
        return data.batches
    raise SolverError(
        Problem(
            "the solver has no test_iter, and the test net's data has no known size",
            param.span("test_interval"),
            "how many batches to test on, test_iter: 100",
        )
    )


def epoch_notes(
    param: SolverParameter, counted: SolverParameter, data: DataSize | None
) -> list[str]:
    """What `max_epoch` has become, as a line to show."""
    if not param.has("max_epoch") or data is None:
        return []
    return [
        f"max_epoch: {param.max_epoch} is {counted.max_iter:,} iterations: "
        f'{data.size:,} samples of layer "{data.layer}", {data.batch * param.iter_size:,} each'
    ]


def test_notes(
    param: SolverParameter, data: Sequence[DataSize | None], counts: Sequence[int]
) -> list[str]:
    """How long the tests are where that was counted, as lines to show."""
    lines = []
    for i, (size, count) in enumerate(zip(data, counts)):
        if size is not None and not param.test_iter:
            line = f"test net #{i}: test_iter is {count:,}, all {size.size:,} samples of its data"
            twice = count * size.batch - size.size
            if twice:
                line += f", {twice} of them twice: the last batch is filled up"
            lines.append(line)
    return lines
