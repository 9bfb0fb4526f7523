"""`caffelite layers`: suggestions."""

from __future__ import annotations

import pytest

from caffelite.cli import main


def test_the_start_of_a_name_is_enough_for_a_suggestion(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["layers", "conv"]) == 1
    assert 'did you mean "Convolution"?' in capsys.readouterr().err
