"""Files that say which objects an image shows: XML (Pascal VOC, ILSVRC), JSON (one image of MS
COCO) and plain text, as the SSD fork's convert_annoset reads them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from xml.etree import ElementTree

from caffelite.errors import DataError, Problem, did_you_mean
from caffelite.reading import check_limit, plain_file, reading, shown, size_of
from caffelite.schema.annotated import (
    AnnotatedDatum,
    Annotation,
    AnnotationGroup,
    AnnotationType,
    NormalizedBBox,
)
from caffelite.schema.datum import Datum

Size = tuple[int, int]
"""Height and width."""


@dataclass
class Objects:
    """The objects of one image."""

    size: Size
    """Of the image, as far as the file says it; else as it is."""
    found: list[tuple[int, tuple[float, float, float, float], bool]] = field(default_factory=list)
    """Class, x1, y1, x2, y2 in pixels, difficult."""

    def outside(self) -> int:
        """How many boxes are not all in the image."""
        height, width = self.size
        return sum(
            x1 < 0 or y1 < 0 or x2 > width or y2 > height for _, (x1, y1, x2, y2), _ in self.found
        )

    def record(self, datum: Datum) -> AnnotatedDatum:
        """The record of the image and its objects: a group for each class, numbers from 0 in it."""
        height, width = self.size
        groups: dict[int, AnnotationGroup] = {}
        for label, (x1, y1, x2, y2), difficult in self.found:
            group = groups.setdefault(label, AnnotationGroup(group_label=label))
            box = NormalizedBBox(
                xmin=x1 / width,
                ymin=y1 / height,
                xmax=x2 / width,
                ymax=y2 / height,
                difficult=difficult,
            )
            group.annotation.append(Annotation(instance_id=len(group.annotation), bbox=box))
        return AnnotatedDatum(
            datum=datum, type=AnnotationType.BBOX, annotation_group=list(groups.values())
        )


Classes = Mapping[str, int]


def read_annotation(path: str, kind: str, size: Size, classes: Classes) -> Objects:
    """The objects that a file of this kind, one of `KINDS`, says of an image of this size.
    `classes`: the numbers by the names that the file uses; plain text has the numbers. Raises
    DataError."""
    with plain_file(path, "an annotation") as file:
        check_limit("definition", size_of(file), f'"{path}"')
        data = file.read()
    with reading(f'"{path}"', f"an annotation in {kind.upper()}", also=(RecursionError,)):
        found = KINDS[kind](data, size, classes)
        _check(found)
    return found


def _xml(data: bytes, size: Size, classes: Classes) -> Objects:
    if b"<!DOCTYPE" in data or b"<!ENTITY" in data:
        raise ValueError("it declares a document type, which no annotation needs")
    root = ElementTree.fromstring(data)
    if root.tag != "annotation":
        raise ValueError(f"its root is <{shown(root.tag, 40)}>, where <annotation> was expected")
    said = [root.findtext(f"size/{name}") for name in ("height", "width")]
    found = Objects(size)
    if said[0] is not None and said[1] is not None:
        found.size = _extent(said[0]), _extent(said[1])
    for each in root.iter("object"):
        name = (each.findtext("name") or "").strip()
        corners = [each.findtext(f"bndbox/{c}") for c in ("xmin", "ymin", "xmax", "ymax")]
        if None in corners:
            raise ValueError(f'an object "{shown(name, 40)}" has no bndbox of four corners')
        x1, y1, x2, y2 = (_number(c) for c in corners)
        difficult = (each.findtext("difficult") or "").strip() == "1"
        found.found.append((_class(name, classes), (x1, y1, x2, y2), difficult))
    return found


def _json(data: bytes, size: Size, classes: Classes) -> Objects:
    whole = json.loads(data.decode("utf-8-sig"))
    listed = whole.get("annotation") if isinstance(whole, dict) else None
    if not isinstance(listed, list):
        raise ValueError('it has no list "annotation"')
    image = whole.get("image", {})
    found = Objects(size)
    if isinstance(image, dict) and "height" in image and "width" in image:
        found.size = _extent(image["height"]), _extent(image["width"])
    for each in listed:
        box = each.get("bbox") if isinstance(each, dict) else None
        if not isinstance(box, list) or len(box) != 4 or "category_id" not in each:
            raise ValueError("an object has no category_id and bbox of four numbers")
        x, y, width, height = (_number(v) for v in box)
        label = _class(str(each["category_id"]), classes)
        crowd = each.get("iscrowd", 0) in (1, True, "1")
        found.found.append((label, (x, y, x + width, y + height), crowd))
    return found


def _txt(data: bytes, size: Size, classes: Classes) -> Objects:
    found = Objects(size)
    for number, line in enumerate(data.decode("utf-8-sig", "replace").splitlines(), 1):
        words = line.split()
        if not words:
            continue
        if len(words) != 5 or not words[0].lstrip("+-").isdecimal() or len(words[0]) > 10:
            raise DataError(
                Problem(
                    f'line {number} is "{shown(line, 40)}"',
                    expected="a class and four corners, as in: 3 48 240 195 371",
                )
            )
        label = int(words[0])
        if classes and label not in classes.values():
            raise DataError(f"line {number}: the label map has no class {label}")
        x1, y1, x2, y2 = (_number(w) for w in words[1:])
        found.found.append((label, (x1, y1, x2, y2), False))
    return found


KINDS: dict[str, Callable[[bytes, Size, Classes], Objects]] = {
    "xml": _xml,
    "json": _json,
    "txt": _txt,
}
"""How files of each kind are read."""


def _class(name: str, classes: Classes) -> int:
    if name not in classes:
        raise DataError(
            Problem(
                f'the label map has no class "{shown(name, 60)}"',
                hint=did_you_mean(name, classes) if name else None,
            )
        )
    return classes[name]


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise ValueError(f"{shown(value, 40)} where a number was expected")
    number = float(value[:400] if isinstance(value, str) else value)
    if not math.isfinite(number) or abs(number) > 1e9:
        raise ValueError(f"{shown(value, 40)} where a place in the image was expected")
    return number


def _extent(value: Any) -> int:
    number = _number(value)
    if number < 1 or number != int(number):
        raise ValueError(f"the image's size is said to be {shown(value, 40)}")
    return int(number)


def _check(objects: Objects) -> None:
    for label, (x1, y1, x2, y2), _ in objects.found:
        if x2 <= x1 or y2 <= y1:
            raise DataError(
                f"an object of class {label} has no area: {x1:g}, {y1:g} to {x2:g}, {y2:g}"
            )
        if not -(2**31) <= label < 2**31:
            raise DataError(f"class {label} is too large")
