"""What OpenCV 4 makes of the cases below, kept in opencv.npz.

Run as a program, with OpenCV 4 installed, it works the numbers out anew.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

KEPT = Path(__file__).with_name("opencv.npz")


def image(height: int, width: int, channels: int, kind: Any = np.uint8) -> np.ndarray:
    """An image without a pattern that resizing would hide."""
    at = np.arange(height * width * channels, dtype=np.int64)
    values = (at * at * 7 + at * 131) % 251
    return values.reshape(height, width, channels).astype(kind)


CASES: dict[str, tuple[Any, dict[str, Any]]] = {
    "as it is": (image(5, 7, 3), {}),
    "scale, mean, swap": (
        image(5, 7, 3),
        {"scalefactor": 0.017, "mean": (104, 117, 123.5), "swapRB": True},
    ),
    "smaller": (image(11, 14, 3), {"size": (6, 5), "mean": (1, 2, 3), "swapRB": True}),
    "half": (image(12, 14, 3), {"size": (7, 6)}),
    "larger": (image(5, 4, 3), {"size": (9, 13)}),
    "grey": (image(9, 8, 1)[:, :, 0], {"size": (5, 4), "scalefactor": 1 / 255, "mean": 7}),
    "four channels": (image(9, 8, 4), {"size": (5, 7), "mean": (1, 2, 3, 4), "swapRB": True}),
    "cut, tall": (image(9, 16, 3), {"size": (4, 6), "crop": True}),
    "cut, wide": (image(16, 9, 3), {"size": (7, 4), "crop": True}),
    "cut, enlarged": (image(5, 6, 3), {"size": (11, 12), "crop": True}),
    "floats": (image(11, 14, 3, np.float32), {"size": (6, 9)}),
    "floats, half": (image(8, 12, 1, np.float32), {"size": (6, 4)}),
    "sixteen bits": (image(11, 14, 3, np.uint16), {"size": (6, 9)}),
    "bytes stay": (image(11, 14, 3), {"size": (6, 9), "ddepth": 0, "swapRB": True}),
}


PARAMS: dict[str, tuple[Any, dict[str, Any]]] = {
    "a scale for each": (
        image(5, 7, 3),
        {"scalefactor": (0.5, 0.25, 2, 1), "mean": (1, 2, 3, 4), "swapRB": True, "size": (6, 4)},
    ),
    "channels last": (image(5, 7, 3), {"datalayout": 4, "swapRB": True}),
    "bytes": (image(5, 7, 3), {"ddepth": 0, "size": (9, 4)}),
    "cut": (image(9, 16, 3), {"size": (4, 6), "paddingmode": 1}),
    "boxed, wide": (
        image(9, 14, 3),
        {"size": (10, 10), "paddingmode": 2, "borderValue": (9, 8, 7, 0), "swapRB": True},
    ),
    "boxed, tall": (
        image(21, 8, 4),
        {
            "size": (12, 17),
            "paddingmode": 2,
            "borderValue": (9, 8, 7, 6),
            "mean": (1, 2, 3, 4),
            "scalefactor": (0.5, 1, 2, 3),
        },
    ),
    "boxed, grey": (image(9, 14, 1)[:, :, 0], {"size": (20, 10), "paddingmode": 2, "mean": 3}),
    "one number": (image(5, 7, 3), {"scalefactor": 0.5}),
}
SOFT: list[dict[str, Any]] = [
    {},
    {"top_k": 5},
    {"sigma": 0.2},
    {"method": 1},
    {"method": 2, "sigma": 1.5},
]


def rects() -> list[tuple[int, tuple[int, ...], tuple[int, ...], tuple[int, ...]]]:
    """Modes of fitting, sizes of blobs and images, boxes."""
    rng = np.random.default_rng(4)
    found = []
    for number in range(300):
        sizes = rng.integers(3, 60, 2), rng.integers(3, 90, 2), rng.integers(0, 40, 4)
        blob, picture, box = (tuple(int(n) for n in part) for part in sizes)
        found.append((number % 3, blob, picture, box))
    return found


MAPS = """
layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 1 dim: 4 dim: 6 dim: 5 } } }
layer { name: "p" type: "Power" bottom: "x" top: "y" power_param { scale: 0.004 } }
"""


def boxes(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Boxes that overlap, their scores, their classes."""
    rng = np.random.default_rng(seed)
    corners = rng.integers(0, 60, (40, 2))
    sizes = rng.integers(5, 40, (40, 2))
    found = np.concatenate([corners, sizes], 1)
    return found, rng.random(40).astype(np.float32), rng.integers(0, 3, 40)


def grid() -> tuple[np.ndarray, np.ndarray]:
    """Boxes on a grid, many of which overlap by one half exactly."""
    at = np.stack(np.divmod(np.arange(36), 6), 1) * 2 / 0.6
    return np.concatenate([at, np.full((36, 2), 12 / 0.6)], 1), boxes(9)[1][:36]


THRESHOLDS = [(0.2, 0.3, 1.0, 0), (0.0, 0.6, 0.9, 0), (0.5, 0.45, 1.0, 5), (0.99, 0.5, 1.0, 0)]


def params(module: Any, how: dict[str, Any]) -> Any:
    """Image2BlobParams of OpenCV's module, or of ours."""
    made = module.dnn.Image2BlobParams()
    for name, value in how.items():
        setattr(made, name, value)
    return made


def main() -> None:
    import cv2

    numbers = {key: cv2.dnn.blobFromImage(picture, **how) for key, (picture, how) in CASES.items()}
    for seed, (score, overlap, eta, top) in enumerate(THRESHOLDS):
        found, scores, classes = boxes(seed)
        rest = (score, overlap, eta, top)
        numbers[f"boxes {seed}"] = np.array(cv2.dnn.NMSBoxes(found, scores, *rest), np.int32)
        kept = cv2.dnn.NMSBoxesBatched(found, scores, classes, *rest)
        numbers[f"batched {seed}"] = np.array(kept, np.int32)
        for number, how in enumerate(SOFT):
            soft = cv2.dnn.softNMSBoxes(found.tolist(), scores.tolist(), 0.2, 0.3, **how)
            numbers[f"soft {seed} {number}"] = np.stack([np.ravel(part) for part in soft])
    for key, (picture, how) in PARAMS.items():
        numbers[f"params {key}"] = cv2.dnn.blobFromImageWithParams(picture, params(cv2, how))
    numbers["rects"] = np.array(
        [
            params(cv2, {"paddingmode": mode, "size": blob}).blobRectToImageRect(box, picture)
            for mode, blob, picture, box in rects()
        ]
    )
    frame = image(24, 40, 4)
    for key, kind in {
        "points": cv2.dnn.KeypointsModel,
        "classes": cv2.dnn.SegmentationModel,
    }.items():
        net = cv2.dnn.readNetFromCaffe(np.frombuffer(MAPS.encode(), np.uint8))
        model = kind(net)
        model.setInputParams(1, (5, 6))
        numbers[key] = model.estimate(frame, 0.83) if key == "points" else model.segment(frame)
    numbers["grid"] = np.array(cv2.dnn.NMSBoxes(*grid(), 0, 0.5), np.int32)
    np.savez_compressed(KEPT, **numbers)


if __name__ == "__main__":
    main()
