"""Labels that are no classes are refused by every layer that reads class labels."""

import numpy as np
import pytest

from caffelite.errors import NetError
from caffelite.layers.cases import Case
from caffelite.testing import Bench

SCORES = [[0.25, 0.5, 0.25], [0.5, 0.25, 0.25]]
TYPES = ["Accuracy", "HingeLoss", "InfogainLoss", "MultinomialLogisticLoss", "SoftmaxWithLoss"]


def bench(kind: str, labels: list[float], more: str = "") -> Bench:
    inputs = {"x": SCORES, "label": labels}
    if kind == "InfogainLoss":
        inputs["H"] = np.eye(3)
    return Bench(Case(f'type: "{kind}" {more}', inputs))


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("bad", [3, -1, 1e9, float("nan"), float("inf")])
@pytest.mark.filterwarnings("ignore:invalid value")
def test_refused_with_sample_label_and_classes(kind: str, bad: float) -> None:
    with pytest.raises(NetError) as refusal:
        bench(kind, [0, bad]).forward()
    message = str(refusal.value)
    assert "sample 1" in message and "3 classes" in message
    assert (str(int(bad)) if np.isfinite(bad) else str(bad)) in message


@pytest.mark.parametrize("kind", TYPES)
def test_too_few_labels_are_refused(kind: str) -> None:
    with pytest.raises(NetError, match="expected 2 labels"):
        bench(kind, [0])


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("Accuracy", "accuracy_param { ignore_label: -1 }"),
        ("SoftmaxWithLoss", "loss_param { ignore_label: -1 }"),
        ("InfogainLoss", "loss_param { ignore_label: -1 }"),
    ],
)
def test_the_ignored_label_needs_to_be_no_class(kind: str, more: str) -> None:
    both, one = bench(kind, [0, -1], more), bench(kind, [0, -1], more)
    both.forward()
    one.bottom[0][1] = 7  # the ignored sample's scores play no part
    one.forward()
    assert both.top[0] == one.top[0]
