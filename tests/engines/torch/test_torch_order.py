"""Memory order: what lies alike in both orders gets the strides of the wanted one."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

from caffelite.engines.torch.op import channels_last


@pytest.mark.parametrize("shape", [(2, 1, 4, 5), (2, 3, 1, 1), (2, 3, 4, 5), (1, 1, 1, 1)])
def test_channels_are_innermost_by_their_strides_too(shape: tuple[int, ...]) -> None:
    x = torch.arange(torch.Size(shape).numel(), dtype=torch.float32).reshape(shape)
    got = channels_last(x)
    _, c, h, w = shape
    assert got.stride() == (c * h * w, 1, w * c, c)
    assert torch.equal(got, x)


def test_a_convolution_of_one_channel_gives_its_channels_innermost() -> None:
    """Else each layer behind it copies its input into the other order."""
    x = channels_last(torch.randn(2, 1, 9, 9))
    y = torch.ops.aten.convolution(
        x, torch.randn(4, 1, 3, 3), None, [1, 1], [0, 0], [1, 1], False, [0, 0], 1
    )
    assert y.is_contiguous(memory_format=torch.channels_last)


def test_others_stay_as_they_are() -> None:
    x = torch.randn(2, 3)
    assert channels_last(x) is x
