"""Faces that MTCNN's nets (mtcnn_det1 to mtcnn_det3 in FOLDER) find: mtcnn.py FOLDER IMAGE"""

import sys
from collections.abc import Sequence

import numpy as np
from PIL import Image

from caffelite import dnn

LEAST, SMALLEST, STEP = (0.6, 0.7, 0.7), 20, 0.709


def blob(images: list, size: Sequence) -> np.ndarray:
    return dnn.blobFromImages(images, 1 / 128, size, (127.5, 127.5, 127.5), swapRB=True)


def moved(boxes: np.ndarray, by: np.ndarray, scores: np.ndarray, overlap: float) -> tuple:
    """The best boxes, then moved by parts of their sides."""
    sides = boxes[:, 2:] - boxes[:, :2]
    kept = np.array(dnn.NMSBoxes(np.hstack([boxes[:, :2], sides]), scores, 0, overlap), int)
    return (boxes + by * np.tile(sides, 2))[kept], scores[kept]


def cut(image: np.ndarray, boxes: np.ndarray) -> list:
    """Squares around the boxes, which become them; black beyond the image."""
    side = (boxes[:, 2:] - boxes[:, :2]).max(1, keepdims=True) * [[-0.5, -0.5, 0.5, 0.5]]
    boxes[:] = np.round(np.tile(boxes[:, 2:] + boxes[:, :2], 2) / 2 + side)
    room = int(max(0, -boxes.min(), (boxes[:, 2:] - image.shape[:2]).max())) + 1
    wide = np.pad(image, [(room, room), (room, room), (0, 0)])
    return [wide[a:c, b:d] for a, b, c, d in boxes.astype(int) + room]


def detect(image: np.ndarray, nets: list) -> tuple:
    """Corners x1, y1, x2, y2, and scores. The nets learned from images with the axes swapped."""
    image, scale, found = image.transpose(1, 0, 2).copy(), 12 / SMALLEST, []
    while min(image.shape[:2]) * scale >= 12:
        nets[0].setInput(blob([image], [int(np.ceil(n * scale)) for n in image.shape[1::-1]]))
        by, face = nets[0].forward(["conv4-2", "prob1"])
        x, y = np.nonzero(face[0, 1] > LEAST[0])
        boxes = np.stack([x, y, x + 6, y + 6], 1) * 2 / scale
        found.append(moved(boxes, by[0, :, x, y], face[0, 1, x, y], 0.5))
        scale *= STEP
    boxes, scores = (np.concatenate(parts) for parts in zip(*found))
    for net, name, size, least in zip(nets[1:], ("conv5-2", "conv6-2"), (24, 48), LEAST[1:]):
        boxes, scores = moved(boxes, 0 * boxes, scores, 0.7)
        if len(boxes):
            net.setInput(blob(cut(image, boxes), (size, size)))
            by, face = net.forward([name, "prob1"])
            yes, scores = face[:, 1] > least, face[:, 1]
            boxes, scores = moved(boxes[yes], by[yes], scores[yes], 0.7)
    return moved(boxes, 0 * boxes, scores, 0.7)


if __name__ == "__main__":
    paths = [f"{sys.argv[1]}/mtcnn_det{n}" for n in (1, 2, 3)]
    nets = [dnn.readNetFromCaffe(f"{p}.prototxt", f"{p}.caffemodel") for p in paths]
    image = np.asarray(Image.open(sys.argv[2]).convert("RGB"))[:, :, ::-1]
    for (x1, y1, x2, y2), score in zip(*detect(image, nets)):
        print(f"{x1:.1f} {y1:.1f} {x2 - x1:.1f} {y2 - y1:.1f} {score:.4f}")
