"""type: "AnnotatedData": images and boxes from a database, changed by chance together."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from caffelite.data.annotated import Annotated, Augment
from caffelite.errors import CaffeliteError, Source
from caffelite.files import parse_message
from caffelite.schema.binary import write_blob
from caffelite.schema.common import Phase, TransformationParameter

from .boxed import BOXES, IMAGES, RNG, encoded, record, rows_of, text, write
from .nets import assert_resumes, batches, net_of


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "db", [record(i, b) for i, b in zip(IMAGES, BOXES)])


def test_a_net_file_is_read_by_a_new_process(folder: Path) -> None:
    (folder / "n.net").write_text(
        f'layer {{ name: "d" top: "data" top: "label" {text(2, annotated="anno_type: BBOX")} }}'
    )
    code = (
        "import sys, caffelite; print(caffelite.Net(sys.argv[1], caffelite.TRAIN).forward().keys())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "n.net"], cwd=folder, capture_output=True, text=True
    )
    assert done.stdout == "dict_keys(['data', 'label'])\n", done.stderr


def test_images_and_rows_of_boxes(folder: Path) -> None:
    (batch,) = batches(net_of(text(), folder), 1)
    np.testing.assert_array_equal(batch["data"], IMAGES)
    assert batch["label"].shape == (1, 1, 5, 8)
    np.testing.assert_allclose(batch["label"][0, 0], rows_of(BOXES), rtol=1e-6)


def test_the_rows_are_as_many_as_the_boxes_of_each_batch(folder: Path) -> None:
    found = batches(net_of(text(1), folder), 5)
    assert [b["label"].shape for b in found] == [(1, 1, n, 8) for n in (2, 1, 2, 1, 2)]
    assert (found[1]["label"] == -1).all()
    np.testing.assert_array_equal(found[4]["label"], found[0]["label"])
    (alone,) = batches(net_of(text(3), folder, tops=("data",)), 1)
    np.testing.assert_array_equal(alone["data"], IMAGES[:3])


def test_records_without_a_type_have_labels(tmp_path: Path) -> None:
    records = [record(i, [], label=7 + n) for n, i in enumerate(IMAGES)]
    for each in records:
        each.type = None  # type: ignore[assignment]
    write(tmp_path / "db", records)
    (batch,) = batches(net_of(text(3), tmp_path), 1)
    assert batch["label"].tolist() == [7, 8, 9]
    # unless anno_type says that they hold boxes
    (batch,) = batches(net_of(text(3, annotated="anno_type: BBOX"), tmp_path), 1)
    assert batch["label"].tolist() == [[[[-1.0] * 8]]]


def test_image_files_are_decoded(tmp_path: Path) -> None:
    write(tmp_path / "db", [record(encoded(i), b) for i, b in zip(IMAGES, BOXES)])
    (batch,) = batches(net_of(text(), tmp_path), 1)
    np.testing.assert_array_equal(batch["data"], IMAGES)
    (grey,) = batches(net_of(text(transform="force_gray: true"), tmp_path), 1)
    assert grey["data"].shape == (4, 1, 20, 30)


def test_a_mirrored_image_has_mirrored_boxes(folder: Path) -> None:
    seen = set()
    for batch in batches(net_of(text(1, "mirror: true"), folder), 40)[::4]:
        flip = not np.array_equal(batch["data"][0], IMAGES[0])
        seen.add(flip)
        assert np.array_equal(batch["data"][0], IMAGES[0][..., ::-1] if flip else IMAGES[0])
        expected = [0.5, 0.2, 0.9, 0.6] if flip else [0.1, 0.2, 0.5, 0.6]
        np.testing.assert_allclose(batch["label"][0, 0, 0, 3:7], expected, rtol=1e-6)
    assert seen == {True, False}


def test_a_central_crop_cuts_the_boxes(folder: Path) -> None:
    # 10 x 10 of 20 x 30: columns 10 to 20, rows 5 to 15
    net = net_of(text(4, "crop_size: 10"), folder, Phase.TEST)
    (batch,) = batches(net, 1)
    np.testing.assert_array_equal(batch["data"], IMAGES[:, :, 5:15, 10:20])
    expected = [
        [0, 1, 0, 0.0, 0.0, 0.5, 0.7, 0],  # x 3…15 of 10…20, y 4…12 of 5…15
        [0, 2, 0, 0.5, 0.5, 1.0, 1.0, 1],
        [2, 2, 1, 0.0, 0.0, 1.0, 1.0, 0],
        [3, 1, 0, 0.2, 0.3, 0.8, 0.7, 0],
    ]
    np.testing.assert_allclose(batch["label"][0, 0], expected, atol=1e-6)
    both = net_of(text(4, "crop_h: 10 crop_w: 20"), folder, Phase.TEST)
    assert batches(both, 1)[0]["data"].shape == (4, 3, 10, 20)


@pytest.mark.parametrize(
    "emit, expected",
    [
        ("", [0, 0, 2, 3]),
        # centres: (0.3, 0.4) is out of x 1/3…2/3; (0.7, 0.75), (0.625, 0.625) in, (0.5, 0.5) in
        ("emit_constraint { emit_type: CENTER }", [2, 3]),
        # seen: of the first 5/12·7/8 = 0.36, of the second 5/12·1/2, of (2, 2, 1) 4/9·2/3 = 0.296
        ("emit_constraint { emit_type: MIN_OVERLAP emit_overlap: 0.29 }", [0, 2, 3]),
        ("emit_constraint { emit_type: MIN_OVERLAP emit_overlap: 0.3 }", [0, 3]),
        ("emit_constraint { emit_type: MIN_OVERLAP emit_overlap: 0.4 }", [3]),
    ],
)
def test_which_boxes_stay_in_a_crop(folder: Path, emit: str, expected: list[int]) -> None:
    net = net_of(text(4, f"crop_size: 10 {emit}"), folder, Phase.TEST)
    (batch,) = batches(net, 1)
    assert batch["label"][0, 0, :, 0].tolist() == expected


def test_resized_images_keep_their_boxes(folder: Path) -> None:
    (batch,) = batches(net_of(text(4, "resize_param { height: 8 width: 8 }"), folder), 1)
    assert batch["data"].shape == (4, 3, 8, 8)
    np.testing.assert_allclose(batch["label"][0, 0], rows_of(BOXES), rtol=1e-6)
    fit = "resize_mode: FIT_LARGE_SIZE_AND_PAD height: 30 width: 30 pad_value: 7"
    (batch,) = batches(net_of(text(4, f"resize_param {{ {fit} }}"), folder), 1)
    np.testing.assert_array_equal(batch["data"][:, :, 5:25], IMAGES)  # 20 x 30 in the middle
    assert (batch["data"][:, :, :5] == 7).all() and (batch["data"][:, :, 25:] == 7).all()
    expected = np.array(rows_of(BOXES))
    expected[:, [4, 6]] = (5 + 20 * expected[:, [4, 6]]) / 30
    np.testing.assert_allclose(batch["label"][0, 0], expected, rtol=1e-6)


def test_sizes_in_proportion_change_from_image_to_image(tmp_path: Path) -> None:
    images = [IMAGES[0], IMAGES[0].transpose(0, 2, 1), IMAGES[0][:, :, :10]]
    write(tmp_path / "db", [record(np.ascontiguousarray(i), BOXES[0]) for i in images])
    size = "resize_param { resize_mode: FIT_SMALL_SIZE height: 10 width: 10 %s }"
    net = net_of(text(1, size % ""), tmp_path)
    found = batches(net, 4)
    assert [b["data"].shape[2:] for b in found] == [(10, 15), (15, 10), (20, 10), (10, 15)]
    np.testing.assert_allclose(found[0]["label"][0, 0], rows_of(BOXES[:1]), rtol=1e-6)
    scaled = net_of(text(1, size % "height_scale: 5 width_scale: 10"), tmp_path)
    expected = np.array(rows_of(BOXES[:1]))
    expected[:, 3:7] *= [1.5, 2, 1.5, 2]
    np.testing.assert_allclose(batches(scaled, 1)[0]["label"][0, 0], expected, rtol=1e-6)


PARTS = "batch_sampler { max_sample: 1 max_trials: 50 sampler { min_scale: 0.3 max_scale: 1 "
PARTS += "min_aspect_ratio: 0.5 max_aspect_ratio: 2 } sample_constraint { %s } }"


def painted(tmp_path: Path) -> Path:
    """One image whose single object is white on black."""
    image = np.zeros((3, 60, 80), np.uint8)
    image[:, 15:45, 20:60] = 255
    return write(tmp_path / "db", [record(image, [(1, 0, [0.25, 0.25, 0.75, 0.75], False)])])


@pytest.mark.parametrize(
    "transform",
    [
        "",
        "mirror: true",
        "expand_param { max_expand_ratio: 3 }",
        "mirror: true expand_param { prob: 0.5 max_expand_ratio: 2 } resize_param { height: 70 "
        "width: 70 interp_mode: NEAREST interp_mode: LINEAR interp_mode: AREA }",
        "mirror: true resize_param { resize_mode: FIT_LARGE_SIZE_AND_PAD height: 60 width: 90 }",
    ],
)
def test_a_box_stays_on_its_object_whatever_is_drawn(tmp_path: Path, transform: str) -> None:
    folder = painted(tmp_path)
    size = "" if "resize" in transform else "resize_param { height: 60 width: 80 }"
    annotated = PARTS % "min_object_coverage: 0.2"
    seen = set()
    for batch in batches(net_of(text(1, f"{transform} {size}", annotated), folder), 40):
        image, row = batch["data"][0, 0], batch["label"][0, 0, 0]
        x1, y1, x2, y2 = row[3:7] * np.tile(image.shape[::-1], 2)
        rows, columns = np.nonzero(image > 127)
        near = 6  # a pixel of the part that was drawn may be 70 / (60·0.3/√2) of these
        for found, said in (
            (rows.min(), y1),
            (rows.max() + 1, y2),
            (columns.min(), x1),
            (columns.max() + 1, x2),
        ):
            assert abs(found - said) <= near
        seen.add(row.tobytes())
    assert len(seen) > 20


def test_parts_have_what_is_asked_for(tmp_path: Path) -> None:
    """The object of 40 x 30 pixels, a quarter of the image, is half of the part or more."""
    annotated = PARTS % "min_sample_coverage: 0.5"
    net = net_of(text(1, "resize_param { height: 50 width: 50 }", annotated), painted(tmp_path))
    for batch in batches(net, 30):
        x1, y1, x2, y2 = batch["label"][0, 0, 0, 3:7]
        assert (x2 - x1) * (y2 - y1) >= 0.5 - 1e-6


def augment(transform: str, **more: Any) -> Augment:
    param = parse_message(Source("t", transform), TransformationParameter)
    return Augment(param, (), np.random.default_rng(1), **more)


ITEM = Annotated(IMAGES[0], np.array([[1, 0, 0.1, 0.2, 0.5, 0.6, 0.0]]))


def test_expansion_by_hand() -> None:
    one = augment(
        "expand_param { max_expand_ratio: 4 } mean_value: 1.4 mean_value: 2 mean_value: 3"
    )
    # 20 x 30 to 50 x 75, at half of the room down (15) and a third of it across (15)
    found = one.expanded(ITEM, 2.5, 0.5, 1 / 3 + 1e-9, "r")
    assert found.image.shape == (3, 50, 75)
    np.testing.assert_array_equal(found.image[:, 15:35, 15:45], IMAGES[0])
    ground = np.ones((50, 75), bool)
    ground[15:35, 15:45] = False
    assert np.unique(found.image[:, ground], axis=1).tolist() == [[1], [2], [3]]
    expected = [[1, 0, (15 + 3) / 75, (15 + 4) / 50, (15 + 15) / 75, (15 + 12) / 50, 0]]
    np.testing.assert_allclose(found.objects, expected)
    mean = np.array([10.0, 20.0, 30.0]).reshape(1, 3, 1, 1) * np.ones((2, 2))
    filled = augment("expand_param { max_expand_ratio: 4 }", mean=mean)
    assert filled.expanded(ITEM, 2.0, 0.0, 0.0, "r").image[:, -1, -1].tolist() == [10, 20, 30]


def test_a_cut_by_hand() -> None:
    found = augment("").cut(ITEM, np.array([0.2, 0.3, 0.8, 0.9]))
    np.testing.assert_array_equal(found.image, IMAGES[0][:, 6:18, 6:24])
    np.testing.assert_allclose(found.objects, [[1, 0, 0.0, 0.0, 0.5, 0.5, 0]], atol=1e-12)
    tiny = augment("").cut(ITEM, np.array([0.999, 0.999, 1.0, 1.0]))
    assert tiny.image.shape == (3, 1, 1) and len(tiny.objects) == 0


def test_an_expansion_is_as_frequent_as_prob_says(folder: Path) -> None:
    size = "resize_param { height: 20 width: 30 }"
    net = net_of(text(1, "expand_param { prob: 0.25 max_expand_ratio: 2 } " + size), folder)
    kept = sum(np.array_equal(b["data"][0], IMAGES[0]) for b in batches(net, 400)[::4])
    assert 60 <= kept <= 90


def test_colours_change_and_boxes_do_not(folder: Path) -> None:
    distort = "distort_param { brightness_prob: 1 brightness_delta: 20 random_order_prob: 0.5 }"
    for batch in batches(net_of(text(4, distort), folder), 3):
        assert batch["data"].min() >= 0 and batch["data"].max() <= 255
        assert not np.array_equal(batch["data"], IMAGES)
        np.testing.assert_allclose(batch["label"][0, 0], rows_of(BOXES), rtol=1e-6)


EVERYTHING = text(
    3,
    "mirror: true crop_size: 16 scale: 0.5 mean_value: 100 resize_param { height: 20 width: 20 "
    "interp_mode: LINEAR interp_mode: NEAREST } expand_param { max_expand_ratio: 2 } distort_param "
    "{ hue_prob: 0.5 hue_delta: 18 contrast_prob: 0.5 contrast_lower: 0.5 contrast_upper: 1.5 } "
    "noise_param { saltpepper: true saltpepper_param { fraction: 0.01 value: 0 } } "
    "emit_constraint { emit_type: CENTER }",
    "batch_sampler { max_trials: 1 } " + PARTS % "min_jaccard_overlap: 0.1",
    "rand_skip: 3",
)


@pytest.mark.parametrize("phase", list(Phase))
def test_a_resumed_run_draws_the_same(folder: Path, phase: Phase) -> None:
    assert_resumes(EVERYTHING, folder, phase)


def test_a_label_map_names_the_classes(folder: Path) -> None:
    (folder / "map").write_text(
        'item { name: "none" label: 0 display_name: "background" } item { name: "b" label: 2 }'
    )
    layer: Any = net_of(text(annotated='label_map_file: "map"'), folder).layers[0]
    assert layer.class_names == ["background", "1", "b"]
    assert net_of(text(), folder).layers[0].class_names == []  # type: ignore[attr-defined]


def test_a_mean_file_is_of_the_resized_image(folder: Path) -> None:
    mean = RNG.uniform(0, 255, (1, 3, 10, 15)).astype(np.float32)
    write_blob(folder / "mean", mean)
    size = 'resize_param { height: 10 width: 15 } mean_file: "mean"'
    (plain,) = batches(net_of(text(4, size.split(" mean_file")[0]), folder), 1)
    (batch,) = batches(net_of(text(4, size), folder), 1)
    np.testing.assert_allclose(batch["data"], plain["data"] - mean, rtol=1e-5, atol=1e-4)
    with pytest.raises(CaffeliteError, match="the mean file is"):
        net_of(text(4, size.replace("15", "16")), folder)
