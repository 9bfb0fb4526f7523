"""ConvolutionDepthwise: as many outputs as channels, whatever the text says."""

from __future__ import annotations

import pytest

from caffelite import TEST, Net
from caffelite.files import parse_net

NET = """input: "x" input_shape { dim: 1 dim: 3 dim: 4 dim: 4 }
layer { name: "d" type: "ConvolutionDepthwise" bottom: "x" top: "y"
  convolution_param { num_output: %d kernel_size: 3 } }"""


def test_another_num_output_is_passed_over_with_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    net = Net(parse_net(NET % 16), TEST)
    assert net.blobs["y"].shape == (1, 3, 2, 2) and net.params["d"][0].shape == (3, 1, 3, 3)
    assert "num_output is 16, but the bottom has 3 channels" in caplog.text
    caplog.clear()
    Net(parse_net(NET % 3), TEST)
    assert not caplog.records
