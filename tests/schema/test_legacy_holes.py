"""DeepLab's `hole`, the name that `dilation` had before Caffe took it over."""

import pytest

from caffelite.errors import SchemaError, Source
from caffelite.files import parse_message, parse_net
from caffelite.schema.legacy import upgrade_net
from caffelite.schema.net import NetParameter


def conv(fields: str) -> str:
    return (
        'layer { name: "c" type: "Convolution" bottom: "x" top: "y" '
        f"convolution_param {{ num_output: 1 kernel_size: 3 {fields} }} }}"
    )


@pytest.mark.parametrize(
    ("fields", "dilation"),
    [("hole: 4", [4]), ("hole_h: 2 hole_w: 3", [2, 3]), ("hole_w: 3", [1, 3])],
)
def test_hole_becomes_dilation(fields: str, dilation: list[int]) -> None:
    param = parse_net(conv(fields)).layer[0].get("convolution_param")
    assert param.dilation == dilation
    assert "hole" not in str(param)


def test_the_old_format_has_it_too() -> None:
    text = conv("hole: 2").replace("layer {", "layers {").replace('"Convolution"', "CONVOLUTION")
    net, done = upgrade_net(parse_message(Source("old.prototxt", text), NetParameter))
    assert net.layer[0].get("convolution_param").dilation == [2]
    assert "hole became dilation (c)" in done


@pytest.mark.parametrize("fields", ["hole: 2 dilation: 2", "hole: 2 hole_h: 2"])
def test_two_of_one_meaning_are_refused(fields: str) -> None:
    with pytest.raises(SchemaError, match=r"1:\d+: layer \"c\": hole and \w+ are both given"):
        parse_net(conv(fields))
