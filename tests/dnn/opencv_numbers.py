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


def main() -> None:
    import cv2

    numbers = {key: cv2.dnn.blobFromImage(picture, **how) for key, (picture, how) in CASES.items()}
    for seed, (score, overlap, eta, top) in enumerate(THRESHOLDS):
        found, scores, classes = boxes(seed)
        rest = (score, overlap, eta, top)
        numbers[f"boxes {seed}"] = np.array(cv2.dnn.NMSBoxes(found, scores, *rest), np.int32)
        kept = cv2.dnn.NMSBoxesBatched(found, scores, classes, *rest)
        numbers[f"batched {seed}"] = np.array(kept, np.int32)
    numbers["grid"] = np.array(cv2.dnn.NMSBoxes(*grid(), 0, 0.5), np.int32)
    np.savez_compressed(KEPT, **numbers)


if __name__ == "__main__":
    main()
