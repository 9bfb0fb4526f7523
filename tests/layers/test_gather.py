"""Gather and Scatter: each bottom goes to its own top."""

from __future__ import annotations

import pytest

from caffelite import TEST, Net
from caffelite.errors import NetError
from caffelite.files import parse_net


@pytest.mark.parametrize("kind", ["Gather", "Scatter"])
def test_a_top_for_each_bottom(kind: str) -> None:
    with pytest.raises(NetError, match=r"it has 2 bottoms and 1 tops\n(.|\n)*expected 2 tops"):
        Net(
            parse_net(
                'input: "x" input_shape { dim: 2 } input: "z" input_shape { dim: 2 } '
                f'layer {{ name: "g" type: "{kind}" bottom: "x" bottom: "z" top: "y" }}'
            ),
            TEST,
        )
