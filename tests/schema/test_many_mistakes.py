"""Texts with very many mistakes: suggestions for those that are shown, and no more."""

from __future__ import annotations

import pytest

from caffelite.errors import SHOWN, CaffeliteError
from caffelite.files import parse_net
from caffelite.layers.base import Context
from caffelite.plan.build import plan_net
from caffelite.schema.common import Phase
from caffelite.schema.net import NetState


def hints(text: str) -> list[str | None]:
    with pytest.raises(CaffeliteError) as caught:
        plan_net(parse_net(text), NetState(phase=Phase.TEST), Context())
    return [problem.hint for problem in caught.value.problems]


def test_unknown_fields() -> None:
    found = hints('layer { tipe: "x" }\n' * (SHOWN + 10))
    assert found == ['did you mean "type"?'] * SHOWN + [None] * 10


def test_unknown_types() -> None:
    found = hints("".join(f'layer {{ name: "{i}" type: "ReLu" }}\n' for i in range(SHOWN + 10)))
    assert found[:SHOWN] == ['did you mean "ReLU"?'] * SHOWN
    assert all("own" in str(hint) for hint in found[SHOWN:])
    assert len(found) == SHOWN + 10
