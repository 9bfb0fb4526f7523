"""Learning rates at chosen iterations, worked out by hand."""

import math

import pytest

from caffelite.errors import SolverError, Source
from caffelite.files import parse_message
from caffelite.schema.solver import SolverParameter
from caffelite.solver.policies import POLICIES, Rate, learning_rate

LN3 = 1.0986122886681098

VALUES: list[tuple[str, dict[int, float]]] = [
    ('"fixed"', {0: 0.1, 1000: 0.1}),
    ('"step" gamma: 0.5 stepsize: 10', {0: 0.1, 9: 0.1, 10: 0.05, 25: 0.025}),
    ('"exp" gamma: 0.5', {0: 0.1, 1: 0.05, 3: 0.0125}),
    ('"inv" gamma: 1 power: 2', {0: 0.1, 1: 0.025, 3: 0.00625}),
    ('"multistep" gamma: 0.1 stepvalue: 5 stepvalue: 8', {4: 0.1, 5: 0.01, 7: 0.01, 8: 0.001}),
    ('"poly" power: 2 max_iter: 10', {0: 0.1, 5: 0.025, 9: 0.001, 10: 0.0, 11: 0.0}),
    (f'"sigmoid" gamma: {LN3} stepsize: 10', {9: 0.025, 10: 0.05, 11: 0.075, 10**5: 0.1}),
    ('"cosine" max_iter: 12', {0: 0.1, 4: 0.075, 6: 0.05, 8: 0.025, 12: 0.0, 99: 0.0}),
    ('"cosine" max_iter: 12 min_lr: 0.02', {0: 0.1, 4: 0.08, 6: 0.06, 12: 0.02, 99: 0.02}),
    ('"cosine" max_iter: 1', {0: 0.1, 1: 0.0}),
    ('"cosine" max_iter: 0', {0: 0.1}),
    ('"poly" power: 1 max_iter: 1', {0: 0.1, 1: 0.0}),
    ('"poly" max_iter: 10', {0: 0.1, 9: 0.1}),  # no power: 0
    ('"poly" power: 1 max_iter: 10 min_lr: 0.02', {0: 0.1, 5: 0.06, 10: 0.02, 12: 0.02}),
    ('"poly" power: 2 max_iter: 0', {0: 0.1}),  # a run that only tests
    ('"step" gamma: 0.5 stepsize: 10 min_lr: 0.03', {0: 0.1, 10: 0.05, 25: 0.03}),
    ('"stepdecr" gamma: 0.5 stepsize: 10', {9: 0.1, 10: 0.05}),
    (
        '"multifixed" stagelr: 0.3 stagelr: 0.2 stageiter: 5 stageiter: 9',
        {0: 0.3, 5: 0.3, 6: 0.2, 9: 0.2, 10: 0.2},
    ),
    ('"plateau" gamma: 0.5 plateau_winsize: 2', {0: 0.1, 9: 0.1}),  # see test_plateau.py
    ('"step" gamma: 0.5 stepsize: 2 rampup_interval: 4 rampup_lr: 0.02', {2: 0.04, 4: 0.025}),
    ('"fixed" rampup_interval: 4 rampup_lr: 0.02', {0: 0.02, 2: 0.04, 4: 0.1, 5: 0.1}),
    ('"fixed" warmup_iter: 4', {0: 0.0, 1: 0.025, 3: 0.075, 4: 0.1, 5: 0.1}),
    ('"fixed" warmup_iter: 4 warmup_start_lr: 0.02', {0: 0.02, 1: 0.04, 3: 0.08, 4: 0.1}),
    ('"fixed" warmup_iter: 4 warmup_start_lr: 0.3', {0: 0.3, 2: 0.2, 4: 0.1}),
    # the rise is to what the policy says at its end, and steps are not shifted
    ('"step" gamma: 0.5 stepsize: 3 warmup_iter: 4', {2: 0.025, 4: 0.05, 5: 0.05, 6: 0.025}),
    ('"cosine" max_iter: 12 warmup_iter: 4', {0: 0.0, 2: 0.0375, 4: 0.075, 6: 0.05}),
]


def policy(text: str) -> Rate:
    source = Source("some.solver", f"base_lr: 0.1 lr_policy: {text}")
    return learning_rate(parse_message(source, SolverParameter))


@pytest.mark.parametrize("text, values", VALUES)
def test_values(text: str, values: dict[int, float]) -> None:
    rate = policy(text)
    assert {i: rate(i) for i in values} == pytest.approx(values, rel=1e-12, abs=1e-15)


def test_every_policy_has_values() -> None:
    assert {text.split('"')[1] for text, _ in VALUES} == set(POLICIES)


def test_a_negative_rate_stays_one() -> None:
    text = 'base_lr: -0.5 lr_policy: "fixed"'
    assert learning_rate(parse_message(Source("some.solver", text), SolverParameter))(3) == -0.5


@pytest.mark.parametrize(
    "text, message, expected",
    [
        ('"multifixed" stagelr: 0.3 stageiter: 5 stageiter: 9', "1 stagelr for 2 stageiter", "as"),
        ('"step" gamma: -1 stepsize: 0', "gamma cannot be -1", "0 or more"),
        ('"step" gamma: -1 stepsize: 0', "stepsize cannot be 0", "1 or more"),
        ('"poly" max_iter: 5 power: -1', "power cannot be -1", "0 or more"),
        ('"poly" power: -1', "needs max_iter", "max_iter, "),
    ],
)
def test_what_no_rate_can_be_made_of(text: str, message: str, expected: str) -> None:
    with pytest.raises(SolverError) as caught:
        policy(text)
    (problem,) = (p for p in caught.value.problems if message in p.message)
    assert problem.expected and problem.expected.startswith(expected)


def test_without_a_policy_or_with_an_unknown_one() -> None:
    for param, message, hint in (
        (SolverParameter(), "the solver has no lr_policy", 'a constant learning rate lr_policy: "'),
        (SolverParameter(lr_policy="zzz"), 'unknown lr_policy "zzz"', "for a constant"),
        (SolverParameter(lr_policy="cosin"), 'unknown lr_policy "cosin"', 'mean "cosine"'),
    ):
        with pytest.raises(SolverError) as caught:
            learning_rate(param)
        (problem,) = caught.value.problems
        assert problem.message == message and hint in str(problem.hint)


def test_a_policy_that_ends_with_the_run_may_be_asked_before_its_epochs_are_counted() -> None:
    assert policy('"cosine" max_epoch: 3')(0) == pytest.approx(0.1)


def test_a_gamma_of_0_is_taken() -> None:
    assert [policy('"step" gamma: 0 stepsize: 2')(i) for i in (1, 2)] == [0.1, 0]


@pytest.mark.parametrize("text", ['"exp" gamma: 2', '"step" gamma: 2 stepsize: 1'])
def test_a_rate_too_large_for_a_number_is_infinite(text: str) -> None:
    assert policy(text)(100_000) == math.inf


def test_the_order_of_questions_does_not_matter() -> None:
    rate = policy('"multistep" gamma: 0.1 stepvalue: 5 stepvalue: 8')
    assert [rate(9), rate(1), rate(9)] == pytest.approx([0.001, 0.1, 0.001])
