"""Faces in an image, found by the UltraLight detector: ultralight.py FOLDER IMAGE [SCORE]

FOLDER holds ultralight_rfb320, .prototxt and .caffemodel. Prints x, y, width, height, score.
"""

import sys

import numpy as np
from PIL import Image

from caffelite import dnn

SIZE = (320, 240)
SIDES = {8: (10, 16, 24), 16: (32, 48), 32: (64, 96), 64: (128, 192, 256)}


def priors() -> np.ndarray:
    """Centres and sides of the boxes that the net moves, as parts of the image."""
    found = []
    for step, sides in SIDES.items():
        columns, rows = (int(np.ceil(n / step)) for n in SIZE)
        y, x, s = np.meshgrid(np.arange(rows), np.arange(columns), sides, indexing="ij")
        middles = [(x + 0.5) * step / SIZE[0], (y + 0.5) * step / SIZE[1]]
        found.append(np.stack([*middles, s / SIZE[0], s / SIZE[1]], -1).reshape(-1, 4))
    clipped: np.ndarray = np.clip(np.concatenate(found), 0, 1)
    return clipped


def detect(image: np.ndarray, net: dnn.Net, least: float) -> tuple:
    """x, y, width, height in pixels of the image, and scores."""
    net.setInput(dnn.blobFromImage(image, 1 / 128, SIZE, (127, 127, 127), swapRB=True))
    codes, scores = net.forward(["boxes", "scores"])
    known = priors()
    middle = known[:, :2] + codes[0, :, :2] * 0.1 * known[:, 2:]
    sides = known[:, 2:] * np.exp(codes[0, :, 2:] * 0.2)
    pixels = np.array(image.shape[1::-1])
    boxes = np.concatenate([(middle - sides / 2) * pixels, sides * pixels], 1)
    kept = np.array(dnn.NMSBoxes(boxes.tolist(), scores[0, :, 1].tolist(), least, 0.3), int)
    return boxes[kept], scores[0, kept, 1]


if __name__ == "__main__":
    path = f"{sys.argv[1]}/ultralight_rfb320"
    net = dnn.readNetFromCaffe(f"{path}.prototxt", f"{path}.caffemodel")
    image = np.asarray(Image.open(sys.argv[2]).convert("RGB"))[:, :, ::-1]
    for box, score in zip(*detect(image, net, float([*sys.argv[3:], "0.7"][0]))):
        print(*(f"{n:.1f}" for n in box), f"{score:.4f}")
