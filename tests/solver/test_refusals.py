"""Solver files that cannot be run are refused, with the place and what to do."""

from pathlib import Path

import pytest

from caffelite.errors import CaffeliteError

from .made import LINE, Notes, make

LR = 'base_lr: 0.1 lr_policy: "fixed"'
NOT_A_SHARE = "expected 0 or more, and below 1"

MISTAKES: list[tuple[str, str, str, str]] = [
    # what comes before, the wrong line, its message, what is expected or suggested
    (LR, 'type: "adam"', 'unknown solver type "adam"', 'did you mean "Adam"?'),
    (LR, 'type: "RMSprop"', 'unknown solver type "RMSprop"', 'did you mean "RMSProp"?'),
    (LR, 'type: "LBFGS"', 'unknown solver type "LBFGS"', "AdaGrad"),
    (LR, "momentum: 1", "momentum cannot be 1", NOT_A_SHARE),
    (LR, "momentum: -0.1", "momentum cannot be -0.1", NOT_A_SHARE),
    (f'{LR} type: "Adam" momentum: 0.9', "momentum2: 1", "momentum2 cannot be 1", NOT_A_SHARE),
    (f'{LR} type: "AdamW"', "momentum: 1.5", "momentum cannot be 1.5", NOT_A_SHARE),
    (f'{LR} type: "RMSProp"', "rms_decay: 1", "rms_decay cannot be 1", NOT_A_SHARE),
    (f'{LR} type: "RMSProp"', "rms_decay: -1", "rms_decay cannot be -1", NOT_A_SHARE),
    (f'{LR} type: "AdaGrad"', "momentum: 0.9", "AdaGrad cannot use momentum", "another type"),
    (f'{LR} type: "RMSProp"', "momentum: 0.9", "RMSProp cannot use momentum", "another type"),
    (f'{LR} type: "AdaGrad"', "delta: 0", "delta cannot be 0", "above 0"),
    (f'{LR} type: "AdaDelta"', "delta: -1e-6", "delta cannot be -1e-06", "above 0"),
    (LR, "iter_size: 0", "iter_size cannot be 0", "1 or more"),
    (LR, "clip_gradients: 0", "clip_gradients cannot be 0", "no limit"),
    (LR, 'regularization_type: "l1"', 'cannot be "l1"', '"L2" or "L1"'),
    (LR, "warmup_iter: -1", "warmup_iter cannot be -1", "0 or more"),
    (LR, "warmup_start_lr: -1", "warmup_start_lr cannot be -1", "0 or more"),
    (LR, "patience: -1", "patience cannot be -1", "0 or more"),
    (LR, "min_delta: -1", "min_delta cannot be -1", "0 or more"),
    (LR, "min_lr: 0.2", "min_lr cannot be 0.2", "at most base_lr, 0.1"),
    ('lr_policy: "fixed"', "base_lr: nan", "base_lr cannot be nan", "a finite number"),
    ("base_lr: 1", 'lr_policy: "cosin"', 'unknown lr_policy "cosin"', 'did you mean "cosine"?'),
    ("base_lr: 1", 'lr_policy: "cosine"', "needs max_iter", "iterations in all"),
    ("base_lr: 1", 'lr_policy: "step"', "needs gamma", "needs stepsize"),
    ('base_lr: 1 lr_policy: "exp"', "gamma: -0.5", "gamma cannot be -0.5", "0 or more"),
    ('base_lr: 1 lr_policy: "step" gamma: 1', "stepsize: 0", "stepsize cannot be 0", "1 or more"),
    (
        'base_lr: 1 lr_policy: "poly" max_iter: 5',
        "power: -1",
        "power cannot be -1",
        "0 or more",
    ),
]


@pytest.mark.parametrize("before, line, message, expected", MISTAKES)
def test_a_mistake_is_refused_with_its_place(
    tmp_path: Path, before: str, line: str, message: str, expected: str
) -> None:
    with pytest.raises(CaffeliteError) as caught:
        make(tmp_path, f"{before}\n{line}\n")
    text = str(caught.value)
    assert message in text
    assert expected in text
    assert "s.solver:4:" in text
    assert line in text  # the line itself is shown


def test_several_mistakes_are_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(CaffeliteError) as caught:
        make(tmp_path, f'{LR} type: "Adam" momentum: 2 momentum2: 2 delta: 0')
    assert len(caught.value.problems) == 3


@pytest.mark.parametrize(
    "text, note",
    [
        (f'{LR} type: "SGD" momentum2: 0.9', 'momentum2 has no effect with type: "SGD"'),
        (f'{LR} type: "AdaGrad" rms_decay: 0.9', 'rms_decay has no effect with type: "AdaGrad"'),
        (f"{LR} gamma: 0.5", 'gamma has no effect with lr_policy: "fixed"'),
        (f"{LR} power: 0.5", 'power has no effect with lr_policy: "fixed"'),
        (f"{LR} min_delta: 0.5", "min_delta has no effect without patience"),
        (f"{LR} watch_net: 1", "watch_net has no effect without patience or keep_best"),
        (f'{LR} larc_policy: "clip"', "larc_policy has no effect without larc"),
        (f"{LR} rampup_lr: 0.01", "rampup_lr has no effect without rampup_interval"),
        (f"{LR} larc_eta: 0.01", "larc_eta has no effect without larc"),
        (f"{LR} local_gw_ratio: 0.01", "local_gw_ratio has no effect without local_lr_auto"),
        (f"{LR} warmup_start_lr: 0.01", "warmup_start_lr has no effect without warmup_iter"),
        (f'{LR} watch: "loss"', "watch has no effect without patience or keep_best"),
        (f'{LR} type: "Adam"', "the paper's is momentum: 0.9"),
    ],
)
def test_a_field_without_effect_is_said(tmp_path: Path, text: str, note: str) -> None:
    monitor = Notes()
    make(tmp_path, text, LINE, monitor=monitor)
    (said,) = monitor.notes
    assert note in said
    assert "s.solver:3:" in said


@pytest.mark.parametrize(
    "text",
    [
        f"{LR} momentum: 0",
        f'{LR} type: "AdaGrad" momentum: 0',
        f"{LR} clip_gradients: -1",
        f"{LR} clip_gradients: 1",
        f"{LR} rampup_interval: 5 rampup_lr: 0.01",
        f"{LR} warmup_iter: 5 warmup_start_lr: 0.01",
        f'{LR} larc: true larc_eta: 0.01 larc_policy: "clip"',
        f"{LR} local_lr_auto: true local_gw_ratio: 0.01",
        f"{LR} max_iter: 10",
        'base_lr: 0.1 lr_policy: "poly" power: 2 max_iter: 10',
        'base_lr: 0.1 lr_policy: "inv" power: 2 gamma: 1',
        f'{LR} regularization_type: "L1"',
        f'{LR} type: "Adam" momentum: 0 momentum2: 0.9 delta: 1e-8',
        f'{LR} type: "RMSProp" rms_decay: 0 delta: 1e-8',
        f"{LR} min_lr: 0.1",
    ],
)
def test_what_does_no_harm_is_passed_over(tmp_path: Path, text: str) -> None:
    monitor = Notes()
    make(tmp_path, text, LINE, monitor=monitor).step(1)
    assert monitor.notes == []
