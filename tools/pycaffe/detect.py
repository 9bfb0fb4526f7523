"""Boxes of faces or QR codes in an image, with three detectors that others have published.

    caffelite run tools/pycaffe/detect.py mtcnn|ultralight|wechat FOLDER IMAGE

FOLDER holds the nets, .prototxt and .caffemodel. Prints x, y, width, height, score. What is done
around the nets is that of tools/opencv; the nets are pycaffe's.
"""

import sys
from pathlib import Path

import caffe  # type: ignore[import-not-found]
import numpy as np
from PIL import Image

sys.path.append(str(Path(__file__).resolve().parents[1] / "opencv"))

import mtcnn
import ultralight

from caffelite import dnn


class Net(caffe.Net):  # type: ignore[misc]
    """A net that takes an input of any size, with the two names that tools/opencv uses."""

    def __init__(self, path: str) -> None:
        super().__init__(f"{path}.prototxt", caffe.TEST, weights=f"{path}.caffemodel")

    def setInput(self, blob: np.ndarray) -> None:
        self.blobs[self.inputs[0]].reshape(*blob.shape)
        self.blobs[self.inputs[0]].data[...] = blob

    def forward(self, names: list) -> list:
        found = super().forward(blobs=names)
        return [found[name].copy() for name in names]


if __name__ == "__main__":
    kind, folder, name = sys.argv[1:]
    image = np.asarray(Image.open(name).convert("RGB"))[:, :, ::-1]
    if kind == "mtcnn":
        corners, scores = mtcnn.detect(image, [Net(f"{folder}/mtcnn_det{n}") for n in (1, 2, 3)])
        boxes = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], 1)
    elif kind == "ultralight":
        boxes, scores = ultralight.detect(image, Net(f"{folder}/ultralight_rfb320"), 0.7)
    else:
        net, grey = Net(f"{folder}/wechat_detect"), np.asarray(Image.open(name).convert("L"))
        net.setInput(dnn.blobFromImage(grey, 1 / 255, (384, 384)))
        rows = net.forward(["detection_output"])[0][0, 0]
        rows = rows[rows[:, 2] > 0.5]
        scores, corners = rows[:, 2], (rows[:, 3:] * np.tile(grey.shape[::-1], 2)).astype(int)
        boxes = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2] + 1], 1)
    for box, score in zip(boxes, scores):
        print(*(f"{n:.1f}" for n in box), f"{score:.4f}")
