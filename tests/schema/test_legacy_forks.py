"""The V1 format as forks have it: their types and parameters, and crops that find their place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import caffelite
from caffelite.cli import main
from caffelite.errors import SchemaError
from caffelite.files import load_net, parse_net
from caffelite.schema.legacy import upgrade_net

INPUT = 'input: "data" input_dim: 1 input_dim: 3 input_dim: 32 input_dim: 32\n'


def conv(name: str, bottom: str, more: str, kind: str = "CONVOLUTION") -> str:
    return (
        f'layers {{ name: "{name}" type: {kind} bottom: "{bottom}" top: "{name}" '
        f"convolution_param {{ num_output: 2 {more} }} }}\n"
    )


def crop(name: str, bottom: str, to: str) -> str:
    return (
        f'layers {{ name: "{name}" type: CROP bottom: "{bottom}" bottom: "{to}" top: "{name}" }}\n'
    )


def fcn8() -> str:
    """FCN-8s in small: the windows of VGG 16, which is padded by 100, and three ways up."""
    text, last = INPUT, "data"
    for stage, count in enumerate((2, 2, 3, 3, 3), 1):
        for i in range(count):
            pad = 100 if stage == 1 and i == 0 else 1
            text += conv(f"conv{stage}_{i}", last, f"kernel_size: 3 pad: {pad}")
            text += f'layers {{ name: "r{stage}_{i}" type: RELU bottom: "conv{stage}_{i}" '
            text += f'top: "conv{stage}_{i}" }}\n'
            last = f"conv{stage}_{i}"
        text += f'layers {{ name: "pool{stage}" type: POOLING bottom: "{last}" top: "pool{stage}" '
        text += "pooling_param { pool: MAX kernel_size: 2 stride: 2 } }\n"
        last = f"pool{stage}"
    text += conv("fc6", last, "kernel_size: 7") + conv("score", "fc6", "kernel_size: 1")
    text += conv("score2", "score", "kernel_size: 4 stride: 2", "DECONVOLUTION")
    text += conv("score_pool4", "pool4", "kernel_size: 1") + crop("crop4", "score_pool4", "score2")
    sums = 'layers {{ name: "{0}" type: ELTWISE bottom: "{1}" bottom: "{2}" top: "{0}" }}\n'
    text += sums.format("fuse4", "score2", "crop4")
    text += conv("score4", "fuse4", "kernel_size: 4 stride: 2", "DECONVOLUTION")
    text += conv("score_pool3", "pool3", "kernel_size: 1") + crop("crop3", "score_pool3", "score4")
    text += sums.format("fuse3", "score4", "crop3")
    text += conv("bigscore", "fuse3", "kernel_size: 16 stride: 8", "DECONVOLUTION")
    return text + crop("out", "bigscore", "data")


def test_the_crops_of_fcn_are_those_that_it_says_today() -> None:
    """Its files of later years give the offsets: 5, 9 and 31."""
    net, _ = upgrade_net(parse_net(fcn8()))
    offsets = {layer.name: layer.crop_param.offset for layer in net.layer if layer.type == "Crop"}
    assert offsets == {"crop4": [5, 5], "crop3": [9, 9], "out": [31, 31]}
    plan = caffelite.Net(net, caffelite.TEST)
    assert plan.blobs["out"].shape == (1, 2, 32, 32)


def test_what_was_done_is_said(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    path = tmp_path / "f.prototxt"
    path.write_text(fcn8())
    with caplog.at_level("INFO"):
        load_net(str(path))
    assert "out leaves out 31, 31 pixels in front" in caplog.text


def test_a_crop_takes_the_rows_and_columns_that_lie_on_each_other() -> None:
    text = INPUT + conv("down", "data", "kernel_h: 3 kernel_w: 5 pad_h: 1 stride: 2")
    text += conv("up", "down", "kernel_size: 3 stride: 2", "DECONVOLUTION")
    text += crop("out", "up", "down")
    with pytest.raises(SchemaError, match="place i of the second bottom is i·2"):
        parse_net(text)
    text = INPUT + conv("wide", "data", "kernel_size: 1 pad_h: 2 pad_w: 3")
    net = caffelite.Net(parse_net(text + crop("out", "wide", "data")), caffelite.TEST, seed=1)
    assert net.layer_dict["out"].param.offset == [2, 3]
    net.params["wide"][0].data[...] = 1
    net.blobs["data"].data[...] = np.random.default_rng(0).normal(size=(1, 3, 32, 32))
    net.forward()
    np.testing.assert_allclose(
        net.blobs["out"].data[0, 0], net.blobs["data"].data[0].sum(0), rtol=1e-5, atol=1e-5
    )


def test_a_crop_to_what_it_has_nothing_in_common_with() -> None:
    text = 'input: "a" input: "b" input_dim: 1 input_dim: 1 input_dim: 4 input_dim: 4 '
    text += "input_dim: 1 input_dim: 1 input_dim: 4 input_dim: 4\n" + crop("out", "a", "b")
    with pytest.raises(SchemaError) as caught:
        parse_net(text, "c.prototxt")
    assert 'c.prototxt:2:28: layer "out" (CROP)' in str(caught.value)
    assert "go back to no blob that they share" in str(caught.value)


@pytest.mark.parametrize(
    "layer, kind, shape",
    [
        ("type: RESHAPE reshape_param { shape { dim: 0 dim: -1 } }", "Reshape", (1, 3072)),
        ("type: NORM norm_param { across_spatial: false }", "Normalize", (1, 3, 32, 32)),
        ("type: NORM lrn_param { local_size: 3 }", "LRN", (1, 3, 32, 32)),
        ("type: NORMALIZE", "Normalize", (1, 3, 32, 32)),
        ("type: BATCH_NORM", "BatchNorm", (1, 3, 32, 32)),
        ("type: PRELU prelu_param { channel_shared: true }", "PReLU", (1, 3, 32, 32)),
        ("type: BN", "BN", (1, 3, 32, 32)),
        ("type: INTERP interp_param { height: 8 width: 9 }", "Interp", (1, 3, 8, 9)),
    ],
)
def test_types_of_forks(layer: str, kind: str, shape: tuple[int, ...]) -> None:
    net = caffelite.Net(
        parse_net(INPUT + f'layers {{ name: "x" bottom: "data" top: "y" {layer} }}'), caffelite.TEST
    )
    assert net.layer_dict["x"].type == kind
    assert net.blobs["y"].shape == shape


def test_their_parameters_are_bound() -> None:
    text = INPUT + (
        'layers { name: "x" bottom: "data" top: "y" type: RESHAPE reshape_param { shap { } } }'
    )
    with pytest.raises(SchemaError, match='has no field "shap"'):
        parse_net(text)


def test_an_unknown_type_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "u.prototxt"
    path.write_text(
        INPUT
        + conv("c", "data", "kernel_size: 3")
        + 'layers { name: "d" type: VOXEL_CUSTOM_LOSS bottom: "c" top: "d" voxel_param '
        '{ x: 1 } }\nlayers { name: "o" type: MY_OWN bottom: "c" top: "o" }'
    )
    assert main(["summary", str(path)]) == 0
    out = capsys.readouterr().out
    assert "VoxelCustomLoss, of the fork of C3D (facebook)" in out and "MyOwn" in out
    assert "1x2x30x30" in out
    assert main(["check", str(path)]) == 1
    out = "".join(capsys.readouterr())
    assert ':3:26: unknown layer type "VoxelCustomLoss"' in out
    assert ':4:26: unknown layer type "MyOwn"' in out
    assert "2 mistakes" in out


def test_voxels_of_c3d() -> None:
    param = parse_net(
        'input: "x" input_shape { dim: 1 dim: 2 dim: 3 dim: 4 dim: 4 } input: "t" '
        "input_shape { dim: 1 dim: 1 dim: 6 dim: 8 dim: 8 } "
        'layers { name: "d" type: DECONVOLUTION3D bottom: "x" top: "d" convolution_param { '
        "num_output: 5 kernel_size: 4 kernel_depth: 4 pad: 1 temporal_pad: 1 stride: 2 "
        "temporal_stride: 2 } } "
        'layers { name: "p" type: VOXEL_SOFTMAX bottom: "d" top: "p" } '
        'layers { name: "l" type: VOXEL_SOFTMAX_LOSS bottom: "d" bottom: "t" top: "l" }'
    )
    net = caffelite.Net(param, caffelite.TEST)
    assert [layer.type for layer in net.layers[1:]] == [
        "Deconvolution3D",
        "Softmax",
        "SoftmaxWithLoss",
    ]
    assert net.blobs["p"].shape == (1, 5, 6, 8, 8) and net.blobs["l"].shape == ()


@pytest.mark.parametrize("word, meant", [("CONVOLUTON", "CONVOLUTION"), ("SOFTMAXLOSS", "SOFT")])
def test_a_slip_is_still_a_slip(word: str, meant: str) -> None:
    with pytest.raises(SchemaError, match=f"type cannot be {word}") as caught:
        parse_net(INPUT + f'layers {{ name: "x" type: {word} bottom: "data" top: "y" }}')
    assert f'did you mean "{meant}' in str(caught.value)


def test_it_is_written_in_todays_format(tmp_path: Path) -> None:
    old, new = tmp_path / "old.prototxt", tmp_path / "new.prototxt"
    old.write_text(fcn8())
    assert main(["upgrade", str(old), str(new)]) == 0
    net = load_net(str(new))
    assert [x.crop_param.offset for x in net.layer if x.type == "Crop"] == [
        [5] * 2,
        [9] * 2,
        [31] * 2,
    ]
