"""YoloSeg and SegmentationEvaluate: shapes that do not go together."""

from __future__ import annotations

import pytest

from caffelite import TEST, Net
from caffelite.errors import NetError
from caffelite.files import parse_net


def net_of(kind: str, *shapes: tuple[int, ...]) -> Net:
    inputs = "".join(
        f'input: "b{i}" input_shape {{ {" ".join(f"dim: {n}" for n in shape)} }} '
        for i, shape in enumerate(shapes)
    )
    bottoms = " ".join(f'bottom: "b{i}"' for i in range(len(shapes)))
    return Net(parse_net(f'{inputs} layer {{ name: "l" type: "{kind}" {bottoms} top: "y" }}'), TEST)


@pytest.mark.parametrize(
    ("kind", "shapes", "said"),
    [
        ("YoloSeg", [(1, 2), (1, 2)], "expected N x C x H x W"),
        ("YoloSeg", [(1, 2, 3, 4), (1, 2, 3, 3)], "expected 1 x 2 x 3 x 4"),
        ("YoloSeg", [(1, 2, 3, 4), (1, 2, 3, 4), (1, 3)], "expected 1 x 2"),
        ("SegmentationEvaluate", [(2, 1, 3, 3), (2, 1, 3, 3)], "expected 1 x C x H x W"),
        ("SegmentationEvaluate", [(1, 1, 3, 3), (1, 1, 6, 6)], "Interp resizes"),
    ],
)
def test_what_does_not_fit(kind: str, shapes: list[tuple[int, ...]], said: str) -> None:
    with pytest.raises(NetError, match=said):
        net_of(kind, *shapes)


def test_a_class_that_fills_the_batch_has_no_others() -> None:
    net = net_of("YoloSeg", (1, 1, 1, 2), (1, 1, 1, 2), (1, 1))
    net.blobs["b1"].data[...] = 1
    net.blobs["b2"].data[...] = 2
    loss = net.forward()["y"]
    assert loss == pytest.approx(5 * 2 * 2 * 0.6931472)
