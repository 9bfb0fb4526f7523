"""What scikit-image and SciPy make of the cases below, as pycaffe calls them; kept in images.npz.

Run as a program, with both installed, it works the numbers out anew.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

KEPT = Path(__file__).with_name("images.npz")


def image(height: int, width: int, channels: int) -> np.ndarray:
    """An image without a pattern that resizing would hide, from 0.1 to 0.9."""
    at = np.arange(height * width * channels, dtype=np.int64)
    values = 0.1 + 0.8 * ((at * at * 7 + at * 131) % 251) / 250
    return values.reshape(height, width, channels).astype(np.float32)


CASES = {
    "smaller": (image(9, 14, 3), (5, 6), 1),
    "larger": (image(5, 4, 3), (8, 11), 1),
    "grey": (image(5, 7, 1), (9, 3), 1),
    "one pixel": (image(5, 7, 3), (1, 1), 1),
    "nearest": (image(9, 14, 3), (5, 20), 0),
    "two channels": (image(9, 14, 2), (5, 20), 1),
    "five channels": (image(5, 4, 5), (8, 3), 1),
    "nearest of two channels": (image(9, 14, 2), (5, 20), 0),
}


def main() -> None:
    from scipy.ndimage import zoom
    from skimage.transform import resize

    numbers = {}
    for key, (picture, size, order) in CASES.items():
        if picture.shape[2] in (1, 3):
            low, high = picture.min(), picture.max()
            part = (picture - low) / (high - low)
            part = resize(part, size, order=order, mode="constant", anti_aliasing=False)
            numbers[key] = (part * (high - low) + low).astype(np.float32)
        else:
            scale = tuple(np.array(size, float) / np.array(picture.shape[:2]))
            numbers[key] = zoom(picture, (*scale, 1), order=order).astype(np.float32)
    np.savez_compressed(KEPT, **numbers)


if __name__ == "__main__":
    main()
