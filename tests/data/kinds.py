"""A folder with data of every kind, and a layer that reads each."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import h5py
import lmdb
import numpy as np
from PIL import Image

from caffelite.data.writer import DatabaseWriter
from caffelite.schema.annotated import AnnotatedDatum, Annotation, AnnotationGroup, NormalizedBBox
from caffelite.schema.binary import encode
from caffelite.schema.datum import Datum

COUNT = 12
"""Samples of each kind."""
SIZE = (3, 6, 7)

TRANSFORM = "transform_param { crop_size: 4 mirror: true scale: 0.5 }"

KINDS = {
    "Data": 'data_param { source: "db" batch_size: 5 rand_skip: 4 prefetch: 2 } ' + TRANSFORM,
    "AnnotatedData": 'data_param { source: "boxes" batch_size: 5 rand_skip: 4 prefetch: 2 } '
    "annotated_data_param { batch_sampler { max_trials: 1 } batch_sampler { max_sample: 1 "
    "sampler { min_scale: 0.5 } sample_constraint { min_jaccard_overlap: 0.3 } } } "
    "transform_param { mirror: true resize_param { height: 6 width: 8 interp_mode: LINEAR "
    "interp_mode: AREA } expand_param { prob: 0.5 max_expand_ratio: 2 } "
    "distort_param { brightness_prob: 0.5 brightness_delta: 32 } }",
    "CsvData": 'csv_data_param { source: "t.csv" batch_size: 5 shuffle: true }',
    "IdxData": 'idx_data_param { images: "images.gz" labels: "labels" batch_size: 5 shuffle: true }'
    + TRANSFORM,
    "NumpyData": 'numpy_data_param { source: "a.npz" batch_size: 5 shuffle: true }' + TRANSFORM,
    "HDF5Data": 'hdf5_data_param { source: "h5.txt" batch_size: 5 shuffle: true }',
    "ImageData": 'image_data_param { source: "img.txt" batch_size: 5 shuffle: true rand_skip: 4 }'
    + TRANSFORM,
    "FolderData": 'folder_data_param { source: "classes" batch_size: 5 }' + TRANSFORM,
    "WindowData": 'window_data_param { source: "w.txt" batch_size: 5 cache_images: true } '
    + TRANSFORM,
    "VideoData": "data_param { batch_size: 5 } video_data_param { video_type: VIDEO "
    'video_file: "v.png" } ' + TRANSFORM,
    "TextData": 'text_data_param { source: "t.csv" batch_size: 2 seq_len: 3 }',
    "SpiralData": "spiral_data_param { batch_size: 7 }",
    "ShapesData": "shapes_data_param { batch_size: 2 }",
}
"""What a layer of each type says, beside its name and tops."""


def layer_text(kind: str, name: str = "d") -> str:
    """A layer of that type, in text."""
    return f'layer {{ name: "{name}" type: "{kind}" top: "data" top: "label" {KINDS[kind]} }}'


def make_files(folder: Path) -> None:
    """Data for all `KINDS`."""
    rng = np.random.default_rng(3)
    images = rng.integers(0, 256, (COUNT, *SIZE)).astype(np.uint8)
    labels = np.arange(COUNT)
    _lmdb(folder / "db", images)
    _annotated(folder / "boxes", images)
    rows = (rng.integers(-99, 100, (COUNT, 4)) / 8).astype(np.float32)
    (folder / "t.csv").write_text(
        "\n".join(",".join([*map(str, row), str(i)]) for i, row in enumerate(rows.tolist()))
    )
    header = struct.pack(">HBBIII", 0, 8, 3, COUNT, *SIZE[1:])
    (folder / "images.gz").write_bytes(gzip.compress(header + images[:, 0].tobytes()))
    (folder / "labels").write_bytes(
        struct.pack(">HBBI", 0, 8, 1, COUNT) + labels.astype(np.uint8).tobytes()
    )
    np.savez(folder / "a.npz", data=images, label=labels)
    for part in range(2):
        with h5py.File(folder / f"{part}.h5", "w") as file:
            file["data"], file["label"] = rows[part::2], labels[part::2].astype(np.float32)
    (folder / "h5.txt").write_text("0.h5\n1.h5\n")
    _images(folder, images)


def _lmdb(path: Path, images: np.ndarray) -> None:
    env = lmdb.open(str(path), map_size=1 << 22)
    with env.begin(write=True) as transaction:
        for i, image in enumerate(images):
            c, h, w = image.shape
            record = Datum(channels=c, height=h, width=w, data=image.tobytes(), label=i)
            transaction.put(f"{i:08d}".encode(), encode(record))
    env.close()


def _annotated(path: Path, images: np.ndarray) -> None:
    """Image i has i mod 3 boxes of the classes 1 and 2."""
    boxes = [NormalizedBBox(xmin=0.1 * k, ymin=0.2, xmax=0.6 + 0.2 * k, ymax=0.9) for k in range(2)]
    with DatabaseWriter(str(path)) as database:
        for i, image in enumerate(images):
            c, h, w = image.shape
            datum = Datum(channels=c, height=h, width=w, data=image.tobytes())
            groups = [
                AnnotationGroup(
                    group_label=k + 1,
                    annotation=[Annotation(bbox=boxes[k])],
                )
                for k in range(i % 3)
            ]
            record = AnnotatedDatum(datum=datum, type="BBOX", annotation_group=groups)
            database.put(f"{i:08d}".encode(), record)


def _images(folder: Path, images: np.ndarray) -> None:
    frames = [Image.fromarray(image.transpose(1, 2, 0), "RGB") for image in images]
    frames[0].save(folder / "v.png", save_all=True, append_images=frames[1:])
    listed, windows = [], []
    for i, image in enumerate(images):
        path = folder / "classes" / f"class{i % 2}" / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image.transpose(1, 2, 0), "RGB").save(path)
        name = path.relative_to(folder)
        listed.append(f"{name} {i}")
        windows.append(f"# {i}\n{name}\n3 6 7\n2\n1 0.9 0 0 4 4\n0 0.1 1 1 5 5")
    (folder / "img.txt").write_text("\n".join(listed))
    (folder / "w.txt").write_text("\n".join(windows))
