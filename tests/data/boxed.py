"""Databases of annotated records, and nets that read them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from caffelite.data.writer import DatabaseWriter
from caffelite.schema.annotated import AnnotatedDatum, Annotation, AnnotationGroup, NormalizedBBox
from caffelite.schema.datum import Datum

RNG = np.random.default_rng(9)
IMAGES = RNG.integers(0, 256, (4, 3, 20, 30)).astype(np.uint8)
BOXES: list[list[tuple[int, int, list[float], bool]]] = [
    [(1, 0, [0.1, 0.2, 0.5, 0.6], False), (2, 0, [0.5, 0.5, 0.9, 1.0], True)],
    [],
    [(2, 0, [0.0, 0.0, 0.25, 0.25], False), (2, 1, [0.25, 0.25, 1.0, 1.0], False)],
    [(1, 0, [0.4, 0.4, 0.6, 0.6], False)],
]
"""Class, number, corners, difficult."""


def record(image: np.ndarray | bytes, boxes: list[Any], **more: Any) -> AnnotatedDatum:
    if isinstance(image, bytes):
        datum = Datum(data=image, encoded=True, **more)
    else:
        c, h, w = image.shape
        datum = Datum(channels=c, height=h, width=w, data=image.tobytes(), **more)
    made = AnnotatedDatum(datum=datum, type="BBOX")
    for label in dict.fromkeys(box[0] for box in boxes):
        group = AnnotationGroup(group_label=label)
        for _, number, corners, difficult in (box for box in boxes if box[0] == label):
            x1, y1, x2, y2 = corners
            bbox = NormalizedBBox(xmin=x1, ymin=y1, xmax=x2, ymax=y2, difficult=difficult)
            group.annotation.append(Annotation(instance_id=number, bbox=bbox))
        made.annotation_group.append(group)
    return made


def write(path: Path, records: list[AnnotatedDatum]) -> Path:
    with DatabaseWriter(str(path)) as database:
        for i, each in enumerate(records):
            database.put(f"{i:08d}".encode(), each)
    return path.parent


def text(batch: int = 4, transform: str = "", annotated: str = "", data: str = "") -> str:
    return (
        f'type: "AnnotatedData" data_param {{ source: "db" batch_size: {batch} {data} }} '
        f"annotated_data_param {{ {annotated} }} transform_param {{ {transform} }}"
    )


def rows_of(boxes: list[Any]) -> list[list[float]]:
    return [[i, c, n, *b, d] for i, each in enumerate(boxes) for c, n, b, d in each]


def encoded(image: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image[::-1].transpose(1, 2, 0)).save(file, "PNG")
    return file.getvalue()
