"""Files of a detector's results, as `save_output_param` of DetectionOutput asks for them.

With output_directory, label_map_file and name_size_file; one of three forms of output_format:

- VOC: a file PREFIX + CLASS + .txt for each class but the background, in it a line for each
  detection: NAME SCORE X1 Y1 X2 Y2, corners in whole pixels.
- COCO: PREFIX.json, a list of {image_id, category_id, bbox, score}; bbox is x, y, width, height.
- ILSVRC: PREFIX.txt, lines NAME CLASS SCORE X1 Y1 X2 Y2 with the class's number.

Boxes are in pixels of the images as they were, rounded to 1/100 and, but for COCO, cut to whole
numbers. Images are those of the name_size_file in order, num_test_image of them at most. Source:
weiliu89/caffe, branch ssd.
"""

from __future__ import annotations

import json
import os
from typing import Any

import numpy as np

from caffelite.data.labelmap import read_label_map
from caffelite.data.namesize import in_pixels, read_name_sizes
from caffelite.errors import DataError, Problem
from caffelite.layers.detection_output import DetectionOutput
from caffelite.net import Net
from caffelite.paths import find_path
from caffelite.schema.binary import write_atomically
from caffelite.schema.bind import span_of

AT = ("detection_output_param", "save_output_param")


class Results:
    """What a net's DetectionOutput finds, batch by batch, and the files of it."""

    def __init__(self, net: Net, layer: DetectionOutput) -> None:
        """Raises CaffeliteError if a file is missing, or if results are there already."""
        self._net, self._layer = net, layer
        self._param = layer.param.save_output_param
        labels = read_label_map(self._find("label_map_file", "label map"))
        self._names = {item.label: item.name for item in labels.item}
        self._images = read_name_sizes(self._find("name_size_file", "file of names and sizes"))
        most = self._param.num_test_image
        self._images = self._images[: most if self._param.has("num_test_image") else None]
        self._done = 0
        self._rows: list[tuple[str, int, float, list[float]]] = []
        """Name, class, score, and x, y, width, height."""
        for path in self._paths():
            if os.path.lexists(path):
                raise DataError(
                    Problem(
                        f'layer "{layer.name}": "{path}" is there already',
                        span_of(layer.spec, *AT, "output_directory"),
                        hint="remove it, or give another output_directory or output_name_prefix",
                    )
                )

    @classmethod
    def of(cls, net: Net) -> Results | None:
        """Of a net that asks for files: it has an output_directory, and both files that are needed;
        without one of them none are written, as in the original."""
        for layer in net.layers:
            if isinstance(layer, DetectionOutput) and layer.saves:
                return cls(net, layer)
        return None

    def _find(self, name: str, what: str) -> str:
        folder, span = self._layer.context.folder, span_of(self._layer.spec, *AT, name)
        return find_path(self._param.get(name), folder, span, what)

    def _paths(self) -> dict[str, int | None]:
        """The files, and the class that each holds; None: all."""
        start = os.path.join(self._param.output_directory, self._param.output_name_prefix)
        if self._param.output_format != "VOC":
            return {start + (".json" if self._param.output_format == "COCO" else ".txt"): None}
        background = self._layer.param.background_label_id
        classes = (c for c in range(self._layer.param.num_classes) if c != background)
        return {f"{start}{self._name(c)}.txt": c for c in classes}

    def _name(self, label: int) -> str:
        if label not in self._names:
            raise DataError(
                Problem(
                    f'layer "{self._layer.name}": the label map has no class {label}',
                    span_of(self._layer.spec, *AT, "label_map_file"),
                )
            )
        return self._names[label].replace("/", "_").replace(os.sep, "_")

    def add_batch(self) -> None:
        """Take in what the net has found in the batch that it has just run."""
        spec = self._layer.spec
        count = self._net.blobs[spec.bottom[0]].data.shape[0]
        found = self._net.blobs[spec.top[0]].data.reshape(-1, 7).astype(np.float64)
        resize = self._param.resize_param if self._param.has("resize_param") else None
        for image, named in enumerate(self._images[self._done : self._done + count]):
            mine = found[(found[:, 0] == image) & (found[:, 1] >= 0)]
            boxes = in_pixels(mine[:, 3:], named, resize)
            boxes[:, 2:] -= boxes[:, :2]
            for (_, label, score), box in zip(mine[:, :3], np.rint(boxes * 100) / 100):
                self._rows.append((named.name, int(label), float(score), box.tolist()))
        self._done += count

    def write(self) -> list[str]:
        """Write the files; their paths."""
        os.makedirs(self._param.output_directory, exist_ok=True)
        paths = self._paths()
        for path, label in paths.items():
            rows = [row for row in self._rows if label is None or row[1] == label]
            coco = self._param.output_format == "COCO"
            text = self._json(rows) if coco else self._lines(rows, label is None)
            write_atomically(path, text.encode("utf-8", "surrogateescape"))
        return [*paths]

    def _lines(self, rows: list[Any], numbered: bool) -> str:
        lines = []
        for name, label, score, (x, y, width, height) in rows:
            corners = [int(x), int(y), int(x) + int(width), int(y) + int(height)]
            words = [name, *([str(label)] if numbered else []), f"{score:g}", *map(str, corners)]
            lines.append(" ".join(words) + "\n")
        return "".join(lines)

    def _json(self, rows: list[Any]) -> str:
        listed = [
            {
                "image_id": _number(name),
                "category_id": _number(self._name(label)),
                "bbox": box,
                "score": round(score, 6),
            }
            for name, label, score, box in rows
        ]
        return json.dumps(listed, indent=1, ensure_ascii=False) + "\n"


def _number(word: str) -> int | str:
    """The number that the word is, if it is one: images and classes of COCO have numbers."""
    return int(word) if word.isdecimal() and len(word) < 19 else word
