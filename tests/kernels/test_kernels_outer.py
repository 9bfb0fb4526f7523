"""Products of rows with rows: all ways give the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from caffelite.kernels import outer

SHAPES = {
    "few by many": ((3, 200), (40, 200)),
    "many by few": ((40, 200), (3, 200)),
    "few terms": ((3, 20), (40, 20)),
    "a batch": ((2, 3, 150), (2, 40, 150)),
    "one by many": ((3, 150), (5, 40, 150)),
}


def made(*shapes: tuple[int, ...]) -> list[Any]:
    rng = np.random.default_rng(0)
    return [rng.standard_normal(shape) for shape in shapes]


@pytest.mark.parametrize("shapes", SHAPES.values(), ids=SHAPES)
def test_rows_times_rows(shapes: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = made(*shapes)
    expected = a @ b.swapaxes(-1, -2)
    for turned in (0, outer.TURNED):
        monkeypatch.setattr(outer, "TURNED", turned)
        out = np.empty_like(expected)
        outer.times_rows(a, b, out)
        np.testing.assert_allclose(out, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("pieces", [1, 6, 24])
@pytest.mark.parametrize("parts", [0, outer.PARTS])
@pytest.mark.parametrize("groups", [1, 2])
def test_sums_cut_into_stretches(
    pieces: int, parts: int, groups: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = made((groups, 20, 5760), (groups, 25, 5760))
    monkeypatch.setattr(outer, "PARTS", parts)
    out = np.empty((groups, 20, 25))
    outer.times_columns(a, b, pieces, out)
    np.testing.assert_allclose(out, a @ b.transpose(0, 2, 1), rtol=1e-11, atol=1e-11)
