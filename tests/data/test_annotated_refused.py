"""AnnotatedData: what is refused, and where."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lmdb
import numpy as np
import pytest

from caffelite.data.writer import DatabaseWriter
from caffelite.errors import CaffeliteError, DataError
from caffelite.schema.annotated import AnnotatedDatum
from caffelite.schema.binary import encode
from caffelite.schema.common import Phase
from caffelite.schema.datum import Datum

from .boxed import BOXES, IMAGES, encoded, record, text, write
from .nets import batches, net_of


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "db", [record(i, b) for i, b in zip(IMAGES, BOXES)])


@pytest.mark.parametrize(
    "map_text, parts",
    [
        ('item { name: "a" label: 1 } item { name: "a" label: 2 }', ["map:1:", 'name "a"']),
        ('item { name: "a" label: 1 } item { name: "b" label: 1 }', ["map:1:", "label 1"]),
        ('item { name: "a" }', ["map:1:", "without a label"]),
        ('itm { name: "a" label: 1 }', ['no field "itm"', 'did you mean "item"']),
        ("item {", ["map:1:"]),
        ("", ["names no classes"]),
        ("\0\1\2", ["map"]),
    ],
)
def test_a_bad_label_map_is_refused(folder: Path, map_text: str, parts: list[str]) -> None:
    (folder / "map").write_text(map_text)
    with pytest.raises(CaffeliteError) as caught:
        net_of(text(annotated='label_map_file: "map"'), folder)
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    "kwargs, parts",
    [
        ({"data": "backend: LEVELDB"}, ["LevelDB is not read", "some.net:1:"]),
        ({"batch": 0}, ["batch_size"]),
        ({"transform": "resize_param { height: 5 }"}, ["height 5 and width 0"]),
        (
            {"transform": "resize_param { height: 5 width: 5 prob: 0.5 }"},
            ["resize_param has prob 0.5"],
        ),
        (
            {"transform": "resize_param { resize_mode: FIT_SMALL_SIZE height: 5 width: 5 }"},
            ["batch_size is 4", "FIT_SMALL_SIZE"],
        ),
        (
            {"transform": "resize_param { height: 5 width: 5 pad_value: 1 pad_value: 2 }"},
            ["2 pad_value for 3 channels"],
        ),
        ({"transform": "resize_param { height: 99999 width: 99999 }"}, ["pixels"]),
        ({"transform": "crop_size: 21"}, ["crop_size 21 is too large"]),
        ({"transform": "crop_h: 4"}, ["crop_h is 4 and crop_w is 0"]),
        ({"transform": "crop_h: 4 crop_w: 31"}, ["crop_h and crop_w 4 x 31 is too large"]),
        ({"transform": "noise_param { convert_to_lab: true }"}, ["convert_to_lab"]),
        ({"transform": "noise_param { saltpepper: true }"}, ["saltpepper has no value"]),
        (
            {
                "transform": "noise_param { saltpepper: true saltpepper_param { value: 1 value: 2 "
                "} }"
            },
            ["2 value of saltpepper_param for 3 channels"],
        ),
        ({"transform": "expand_param { max_expand_ratio: 0.5 }"}, ["max_expand_ratio cannot be"]),
        (
            {"transform": "distort_param { contrast_prob: 1 contrast_lower: 2 contrast_upper: 1 }"},
            ["contrast_upper is 1, below contrast_lower, 2", "some.net:1:"],
        ),
        (
            {"transform": "emit_constraint { emit_type: MIN_OVERLAP }"},
            ["MIN_OVERLAP has no emit_overlap"],
        ),
        ({"transform": "mean_value: 1 mean_value: 2"}, ["2 mean_value"]),
        (
            {"annotated": "batch_sampler { sampler { min_scale: 0.9 max_scale: 0.5 } }"},
            ["max_scale is 0.5, below min_scale, 0.9"],
        ),
        (
            {"annotated": "batch_sampler { sampler { min_aspect_ratio: 2 } }"},
            ["max_aspect_ratio is 1, below min_aspect_ratio, 2"],
        ),
        ({"annotated": "batch_sampler { sampler { min_scale: 0 } }"}, ["min_scale cannot be 0"]),
        (
            {
                "annotated": "batch_sampler { sample_constraint { min_jaccard_overlap: 0.5 "
                "max_jaccard_overlap: 0.2 } }"
            },
            ["max_jaccard_overlap is 0.2"],
        ),
        ({"annotated": 'label_map_file: "nowhere"'}, ['"nowhere"', "label map"]),
        ({"data": "rand_skip: 1000"}, ["rand_skip is 1000, and there are 4 samples"]),
        ({"transform": "force_color: true force_gray: true"}, ["are both set"]),
    ],
)
def test_bad_parameters_are_refused(folder: Path, kwargs: Any, parts: list[str]) -> None:
    with pytest.raises(CaffeliteError) as caught:
        net_of(text(**kwargs), folder)
    for part in parts:
        assert part in str(caught.value)


def test_a_data_layer_says_who_reads_boxes(folder: Path) -> None:
    layer = 'type: "Data" data_param { source: "db" batch_size: 2 }'
    with pytest.raises(CaffeliteError, match="holds an image and its boxes") as caught:
        net_of(layer, folder)
    assert 'a layer of type "AnnotatedData"' in str(caught.value)


def test_grey_images_have_no_hue(tmp_path: Path) -> None:
    write(tmp_path / "db", [record(IMAGES[0, :1], [])])
    for fields in ("hue_prob: 0.1", "saturation_prob: 0.1", "random_order_prob: 0.1"):
        with pytest.raises(CaffeliteError, match="needs 3 channels, but"):
            net_of(text(1, f"distort_param {{ {fields} }}"), tmp_path)
    for name in ("decolorize", "convert_to_hsv"):
        with pytest.raises(CaffeliteError, match=f"{name} needs 3 channels"):
            net_of(text(1, f"noise_param {{ {name}: true }}"), tmp_path)


BAD: list[tuple[Any, list[str]]] = [
    (record(IMAGES[0, :, :10], []), ["3 x 10 x 30"]),
    (record(IMAGES[0, :1], []), ["has 1 channels, but the first 3"]),
    (record(b"no image", []), ["image"]),
    (
        record(IMAGES[0], [(1, 0, [float("nan"), 0.0, 1.0, 1.0], False)]),
        ["corners are not numbers"],
    ),
    (AnnotatedDatum(datum=Datum(channels=3, height=20, width=30, data=b"few")), ["holds 3 values"]),
    (AnnotatedDatum(), ["0 x 0 x 0"]),
    (AnnotatedDatum(datum=record(IMAGES[0], []).datum), ["has no type"]),
]


@pytest.mark.parametrize("bad, parts", BAD)
@pytest.mark.parametrize("data", ["", "prefetch: 0"])
def test_a_bad_record_is_named(tmp_path: Path, bad: Any, parts: list[str], data: str) -> None:
    write(tmp_path / "db", [record(IMAGES[0], BOXES[0]), bad])
    net = net_of(text(2, data=data), tmp_path)
    with pytest.raises(DataError) as caught:
        net.forward()
    for part in [*parts, "00000001", 'layer "d" (AnnotatedData)']:
        assert part in str(caught.value)


def test_damaged_records_raise_no_foreign_exceptions(tmp_path: Path) -> None:
    """Bytes of a record are changed or cut off: it is read, or refused by name."""

    good = encode(record(encoded(IMAGES[0, :, :6, :6]), BOXES[0]))
    rng = np.random.default_rng(3)
    outcomes = set()
    for trial in range(120):
        data = bytearray(good)
        for at in rng.integers(len(data), size=1 + trial % 3):
            data[at] = rng.integers(256)
        if trial % 4 == 0:
            data = data[: rng.integers(len(data))]
        path = tmp_path / f"db{trial}"
        env = lmdb.open(str(path), map_size=1 << 20)
        with env.begin(write=True) as transaction:
            transaction.put(b"0", bytes(data))
        env.close()
        try:
            net = net_of(
                text(1, "resize_param { height: 5 width: 5 }").replace('"db"', f'"db{trial}"'),
                tmp_path,
            )
            net.forward()
            outcomes.add("read")
        except CaffeliteError as error:
            assert f"db{trial}" in str(error)
            outcomes.add("refused")
    assert outcomes == {"read", "refused"}


def test_other_layers_refuse_what_is_for_boxes(tmp_path: Path) -> None:
    with DatabaseWriter(str(tmp_path / "db")) as database:
        for i, image in enumerate(IMAGES):
            c, h, w = image.shape
            database.put(b"%d" % i, Datum(channels=c, height=h, width=w, data=image.tobytes()))
    layer = 'type: "Data" data_param { source: "db" batch_size: 2 } transform_param { %s }'
    for fields in ("distort_param { }", "expand_param { }", "emit_constraint { }"):
        with pytest.raises(CaffeliteError, match="is not followed by this type of layer"):
            net_of(layer % fields, tmp_path)
    # while sizes and noise are for all images
    fields = (
        "resize_param { height: 10 width: 15 } noise_param { inverse: true } crop_h: 8 crop_w: 9"
    )
    (batch,) = batches(net_of(layer % fields, tmp_path, Phase.TEST), 1)
    assert batch["data"].shape == (2, 3, 8, 9)
    halves = IMAGES[:2].astype(int).reshape(2, 3, 10, 2, 15, 2).sum(axis=(3, 5)) + 2 >> 2
    np.testing.assert_array_equal(batch["data"], 255 - halves[:, :, 1:9, 3:12])
