"""What element-by-element layers refuse, and how they say it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from caffelite.errors import CaffeliteError
from caffelite.layers.cases import Case
from caffelite.testing import Bench

ROW = {"x": [[1.0, 2.0]]}
PAIR = {"x": [[1.0, 2.0]], "z": [[1.0, 2.0]]}


@pytest.mark.parametrize(
    ("text", "inputs", "words"),
    [
        (
            '"Dropout" dropout_param { dropout_ratio: 1 }',
            ROW,
            ["dropout_ratio cannot be 1", "below 1"],
        ),
        ('"Dropout" dropout_param { dropout_ratio: -0.5 }', ROW, ["dropout_ratio cannot be -0.5"]),
        ('"Clip" clip_param { min: 1 max: 0 }', ROW, ["min 1 is above max 0"]),
        ('"Clip"', ROW, ["min is missing", "clip_param { min: 0 max: 6 }"]),
        ('"Exp" exp_param { base: 0 }', ROW, ["base is 0", "-1 for e"]),
        ('"Log" log_param { base: -2 }', ROW, ["base is -2"]),
        ('"Log" log_param { base: 1 }', ROW, ["no logarithm of base 1"]),
        ('"Power" power_param { power: -1 scale: 0 }', ROW, ["0 to the power -1 is not a number"]),
        ('"PReLU"', {"x": [1.0, 2.0]}, ["2 (2)", "2 axes or more"]),
        ('"Eltwise"', {**ROW, "z": [[1.0]]}, ['"z" is 1 x 1 (1), but "x" is 1 x 2 (2)']),
        (
            '"Eltwise" eltwise_param { coeff: 1 }',
            PAIR,
            ["1 coefficients for 2 bottoms", "one for each bottom"],
        ),
        ('"Eltwise" eltwise_param { operation: PROD coeff: 1 coeff: 2 }', PAIR, ["not for PROD"]),
        ('"Bias" bias_param { axis: 2 }', ROW, ["axis 2 is out of range"]),
        ('"Bias" bias_param { num_axes: 2 }', ROW, ["num_axes is 2", "-1 to 1"]),
        ('"Bias" bias_param { num_axes: -2 }', ROW, ["num_axes is -2"]),
        ('"Scale"', {**ROW, "s": [1.0, 2.0, 3.0]}, ['"s" is 3 (3)', '"x", 1 x 2 (2), from axis 1']),
        ('"Axpy"', {"a": [[1.0]], **PAIR}, ['"a" is 1 x 1 (1)', "(N, C)"]),
        ('"Axpy"', {"a": [[1.0, 1.0]], **ROW, "z": [[1.0]]}, ['"z" is 1 x 1 (1)', "of one shape"]),
        ('"DropConnect"', ROW, ["num_output is missing"]),
        (
            '"DropConnect" dropconnect_param { num_output: 1 dropout_ratio: 2 }',
            ROW,
            ["dropout_ratio cannot be 2"],
        ),
    ],
)
def test_refusals(text: str, inputs: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(CaffeliteError) as error:
        Bench(Case(f"type: {text}", inputs))
    for word in words:
        assert word in str(error.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('"PReLU"', ["3 channels", "2 slopes"]),
        ('"Scale"', ["takes a parameter of 3 (3), but it is 2 (2)"]),
        ('"Bias"', ["takes a parameter of 3 (3), but it is 2 (2)"]),
        ('"DropConnect" dropconnect_param { num_output: 4 }', ["3 inputs", "weights are for 2"]),
    ],
)
def test_a_new_shape_that_the_parameters_do_not_fit(text: str, words: list[str]) -> None:
    bench = Bench(Case(f"type: {text}", ROW))
    with pytest.raises(CaffeliteError) as error:
        bench.reshape([np.zeros((1, 3))])
    for word in words:
        assert word in str(error.value)
