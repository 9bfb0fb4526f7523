"""Nets run without their data: shapes that are stated, and those that the file says."""

from __future__ import annotations

from pathlib import Path

import pytest

from caffelite.cli import main
from caffelite.errors import CaffeliteError
from caffelite.files import parse_net
from caffelite.plan.graph import state_for
from caffelite.report.standin import stand_in
from caffelite.schema.common import Phase

REST = """
layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip"
  inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }
"""
DATA = """layer { name: "d" type: "Data" top: "data" top: "label"
  data_param { source: "nowhere" batch_size: 4 } transform_param { %s } }"""


def shapes(text: str, **stated: tuple[int, ...]) -> list[list[int]]:
    net = parse_net(text)
    found = stand_in(net, [state_for(net, Phase.TRAIN)], stated).layer[0]
    assert found.type == "DummyData"
    return [list(shape.dim) for shape in found.get("dummy_data_param").shape]


@pytest.mark.parametrize(
    "text, stated, expected",
    [
        (DATA % "crop_size: 8", {}, [[4, 3, 8, 8], [4]]),
        (DATA % "crop_size: 8 force_gray: true", {}, [[4, 1, 8, 8], [4]]),
        (DATA % "", {"data": (2, 1, 5, 6)}, [[2, 1, 5, 6], [2]]),
        (DATA % "crop_size: 8", {"label": (4, 1, 8, 8)}, [[4, 3, 8, 8], [4, 1, 8, 8]]),
        (
            'layer { name: "d" type: "AnnotatedData" top: "data" top: "label" data_param '
            "{ batch_size: 2 } annotated_data_param { anno_type: BBOX } transform_param { "
            "resize_param { height: 30 width: 40 } } }",
            {},
            [[2, 3, 30, 40], [1, 1, 1, 8]],
        ),
        (
            'layer { name: "d" type: "Python" top: "data" top: "im_info" top: "gt_boxes" '
            'python_param { module: "roi_data_layer.layer" layer: "RoIDataLayer" } }',
            {"data": (1, 3, 60, 80)},
            [[1, 3, 60, 80], [1, 3], [1, 5]],
        ),
        (
            'layer { name: "d" type: "ImageGtData" top: "data" top: "a" top: "b" top: "boxes" '
            "image_gt_data_param { batch_size: 2 crop_height: 48 crop_width: 64 downsample_rate: 8 "
            "downsample_rate: 16 coord_num: 4 } }",
            {},
            [[2, 3, 48, 64], [2, 6, 6, 8], [2, 6, 3, 4], [1, 7]],
        ),
        (
            'layer { name: "d" type: "DetectionData" top: "data" top: "a" top: "b" top: "gt_boxes" '
            "detection_data_param { batch_size: 2 short_size: 40 long_size: 60 stride: 8 "
            "stride: 16 field_w: 32 field_w: 64 field_h: 32 field_h: 64 } }",
            {},
            [[2, 3, 60, 40], [2, 6, 8, 5], [2, 6, 4, 3], [1, 8]],
        ),
        (
            'layers { name: "d" type: VIDEO_DATA top: "data" top: "label" image_data_param { '
            'source: "no" batch_size: 2 crop_size: 12 new_length: 16 } }',
            {},
            [[2, 3, 16, 12, 12], [2]],
        ),
        (
            'layer { name: "d" type: "VideoData" top: "data" top: "label" video_data_param { '
            'source: "no" batch_size: 2 new_length: 5 num_segments: 3 modality: FLOW } '
            "transform_param { crop_size: 12 is_flow: true } }",
            {},
            [[2, 30, 12, 12], [2]],
        ),
        (
            'layer { name: "d" type: "VideoData" top: "data" top: "label" video_data_param { '
            'source: "no" batch_size: 2 new_height: 12 new_width: 10 num_segments: 7 '
            "modality: RGB } }",
            {},
            [[2, 21, 12, 10], [2]],
        ),
        (
            'layer { name: "d" type: "VideoData" top: "data" top: "label" video_data_param { '
            'source: "no" new_length: 8 use_image: true } transform_param { crop_size: 12 } }',
            {},
            [[1, 3, 8, 12, 12], [1]],
        ),
        (
            'layer { name: "d" type: "Data" top: "data" data_param { batch_size: 2 } } layer { '
            'name: "t" type: "DetectNetTransformation" bottom: "data" bottom: "label" top: "x" '
            'top: "y" detectnet_groundtruth_param { image_size_x: 96 image_size_y: 64 } }',
            {},
            [[2, 3, 64, 96]],
        ),
        (
            'layer { name: "d" type: "BoxData" top: "data" top: "label" data_param { side: 3 '
            'batch_size: 2 } } layer { name: "e" type: "EvalDetection" bottom: "data" bottom: '
            '"label" top: "e" eval_detection_param { side: 3 } }',
            {},
            [[2, 3, 192, 192], [2, 63]],
        ),
        (
            'layer { name: "d" type: "BoxData" top: "data" top: "label" data_param { side: 3 '
            'batch_size: 2 } } layer { name: "e" type: "RegionLoss" bottom: "data" bottom: '
            '"label" top: "e" region_loss_param { side: 3 } }',
            {},
            [[2, 3, 96, 96], [2, 150]],
        ),
        (
            'layer { name: "d" type: "EvalData" top: "data" top: "gt_boxes" top: "image_sizes" }',
            {"data": (1, 3, 60, 80)},
            [[1, 3, 60, 80], [1, 8], [1, 2]],
        ),
        (
            'layer { name: "d" type: "ImageData" top: "data" image_data_param { source: "no" '
            "batch_size: 5 new_height: 6 new_width: 7 is_color: false } }",
            {},
            [[5, 1, 6, 7]],
        ),
    ],
)
def test_shapes(text: str, stated: dict[str, tuple[int, ...]], expected: list[list[int]]) -> None:
    assert shapes(text, **stated) == expected


def test_a_shape_that_nobody_says_is_asked_for() -> None:
    with pytest.raises(CaffeliteError, match="--shape data=4x3x224x224"):
        shapes(DATA % "")


def test_a_name_that_is_no_data_is_refused() -> None:
    with pytest.raises(CaffeliteError, match='makes a blob "dta"'):
        shapes(DATA % "crop_size: 8", dta=(1,))


def test_a_training_file_runs_without_its_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("n.net").write_text(DATA % "crop_size: 8" + REST)
    Path("s.solver").write_text(
        'net: "n.net" base_lr: 0.1 lr_policy: "fixed" max_iter: 2 snapshot_prefix: "new/n"'
    )
    assert main(["check", "n.net", "s.solver"]) == 0
    assert "new is still to be made: mkdir -p new" in capsys.readouterr().out
    assert main(["summary", "n.net", "--shape", "data=2x3x9x9"]) == 0
    assert "2x3x9x9, 2" in capsys.readouterr().out
    assert main(["train", "s.solver", "--shape"]) == 1
    assert "--make-folder" in capsys.readouterr().err
    assert main(["train", "s.solver", "--shape", "--make-folder"]) == 0
    assert Path("new/n_iter_2.caffemodel").exists()
    args = ["test", "n.net", "new/n_iter_2.caffemodel", "--iterations", "2", "--shape"]
    assert main(args) == 0
    assert "loss" in capsys.readouterr().out


def test_an_input_gets_the_shape_that_is_given() -> None:
    text = """
    layer { name: "in" type: "Input" top: "data" top: "info"
      input_param { shape { dim: 1 dim: 3 dim: 8 dim: 8 } shape { dim: 1 dim: 3 } } }
    """
    net = parse_net(text)
    found = stand_in(net, [state_for(net, Phase.TEST)], {"data": (4, 3, 6, 6)}).layer[0]
    assert found.type == "Input"
    assert [list(s.dim) for s in found.get("input_param").shape] == [[4, 3, 6, 6], [1, 3]]
    assert stand_in(net, [state_for(net, Phase.TEST)], {}) == net


def test_a_former_name_and_a_net_behind_the_option(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("n.net").write_text(DATA % "crop_size: 8" + REST)
    outs = []
    for option in (["--data-shape", "data=2x3x9x9"], ["-shape=data=2x3x9x9"], ["--data-shape"]):
        assert main(["summary", *option, "n.net"]) == 0
        outs.append(capsys.readouterr().out)
    assert outs[0] == outs[1] and "2x3x9x9" in outs[0] and "4x3x8x8" in outs[2]
    assert main(["summary", "--help"]) == 0
    page = capsys.readouterr().out
    assert "--shape" in page and "--data-shape" not in page


def test_an_object_of_faster_rcnns_is_of_a_class() -> None:
    text = 'layer { name: "d" type: "Python" top: "data" top: "gt_boxes" python_param { '
    net = parse_net(text + 'module: "roi_data_layer.layer" layer: "RoIDataLayer" } }')
    made = stand_in(net, [state_for(net, Phase.TRAIN)], {"data": (1, 3, 9, 9)}).layer[0]
    assert [f.value for f in made.get("dummy_data_param").data_filler] == [0, 1]


def test_what_stands_behind_the_images_is_a_label_whatever_its_name() -> None:
    net = parse_net((DATA % "crop_size: 8").replace('"label"', '"Data2"'))
    made = stand_in(net, [state_for(net, Phase.TRAIN)], {}).layer[0]
    assert [f.type for f in made.get("dummy_data_param").data_filler] == ["gaussian", "constant"]


def test_what_embed_reads_and_regions_are_zeros() -> None:
    text = """
      layer { name: "d" type: "HDF5Data" top: "data" top: "words" top: "rois"
        hdf5_data_param { source: "no" batch_size: 2 } }
      layer { name: "e" type: "Embed" bottom: "words" top: "e"
        embed_param { input_dim: 5 num_output: 2 } }"""
    net = parse_net(text)
    state = state_for(net, Phase.TRAIN)
    made = stand_in(net, [state], {"data": (2, 4), "words": (2, 3), "rois": (6, 5)}).layer[0]
    fillers = made.get("dummy_data_param").data_filler
    assert [f.type for f in fillers] == ["gaussian", "constant", "constant"]
    assert [f.value for f in fillers[1:]] == [0, 0]
