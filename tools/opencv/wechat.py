"""QR codes in an image, found by WeChat's detector: wechat.py FOLDER IMAGE [SCORE]

FOLDER holds wechat_detect, .prototxt and .caffemodel. Prints x, y, width, height, score.
"""

import sys

import numpy as np
from PIL import Image

from caffelite import dnn

if __name__ == "__main__":
    path = f"{sys.argv[1]}/wechat_detect"
    model = dnn.DetectionModel(f"{path}.caffemodel", f"{path}.prototxt")
    model.setInputParams(1 / 255, (384, 384))
    image = np.asarray(Image.open(sys.argv[2]).convert("L"))
    least = float([*sys.argv[3:], "0.5"][0])
    for _, score, box in zip(*model.detect(image, least)):
        print(*box, f"{score:.4f}")
