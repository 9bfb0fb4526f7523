"""OpenCV's `cv2.dnn` for Caffe's nets, without OpenCV.

    from caffelite import dnn

    net = dnn.readNetFromCaffe("deploy.prototxt", "net.caffemodel")
    net.setInput(dnn.blobFromImage(image, 1, (224, 224), (104, 117, 123)))
    prob = net.forward()

Names, arguments and numbers are those of OpenCV 4. Where it differs: results are copies; layers of
the phase TRAIN are left out; DetectionOutput gives Caffe's row of -1 where nothing is found; blobs'
own names are accepted beside layers'.
"""

from __future__ import annotations

from typing import Any

from caffelite.dnn.boxes import (
    SOFT_NMSMETHOD_SOFTNMS_GAUSSIAN,
    SOFT_NMSMETHOD_SOFTNMS_LINEAR,
    NMSBoxes,
    NMSBoxesBatched,
    softNMSBoxes,
)
from caffelite.dnn.custom import registerLayer, unregisterLayer
from caffelite.dnn.images import CV_8U, CV_32F, blobFromImage, blobFromImages, imagesFromBlob
from caffelite.dnn.layer import Layer
from caffelite.dnn.models import (
    ClassificationModel,
    DetectionModel,
    KeypointsModel,
    Model,
    SegmentationModel,
)
from caffelite.dnn.net import Net
from caffelite.dnn.params import (
    DNN_LAYOUT_NCHW,
    DNN_LAYOUT_NHWC,
    DNN_PMODE_CROP_CENTER,
    DNN_PMODE_LETTERBOX,
    DNN_PMODE_NULL,
    Image2BlobParams,
    blobFromImagesWithParams,
    blobFromImageWithParams,
)
from caffelite.dnn.reading import readNet, readNetFromCaffe, shrinkCaffeModel
from caffelite.dnn.rotated import NMSBoxesRotated
from caffelite.dnn.settings import (
    DNN_BACKEND_CANN,
    DNN_BACKEND_CUDA,
    DNN_BACKEND_DEFAULT,
    DNN_BACKEND_HALIDE,
    DNN_BACKEND_INFERENCE_ENGINE,
    DNN_BACKEND_OPENCV,
    DNN_BACKEND_TIMVX,
    DNN_BACKEND_VKCOM,
    DNN_BACKEND_WEBNN,
    DNN_TARGET_CPU,
    DNN_TARGET_CPU_FP16,
    DNN_TARGET_CUDA,
    DNN_TARGET_CUDA_FP16,
    DNN_TARGET_FPGA,
    DNN_TARGET_HDDL,
    DNN_TARGET_MYRIAD,
    DNN_TARGET_NPU,
    DNN_TARGET_OPENCL,
    DNN_TARGET_OPENCL_FP16,
    DNN_TARGET_VULKAN,
)

__all__ = [
    "CV_8U",
    "CV_32F",
    "DNN_BACKEND_CANN",
    "DNN_BACKEND_CUDA",
    "DNN_BACKEND_DEFAULT",
    "DNN_BACKEND_HALIDE",
    "DNN_BACKEND_INFERENCE_ENGINE",
    "DNN_BACKEND_OPENCV",
    "DNN_BACKEND_TIMVX",
    "DNN_BACKEND_VKCOM",
    "DNN_BACKEND_WEBNN",
    "DNN_LAYOUT_NCHW",
    "DNN_LAYOUT_NHWC",
    "DNN_PMODE_CROP_CENTER",
    "DNN_PMODE_LETTERBOX",
    "DNN_PMODE_NULL",
    "DNN_TARGET_CPU",
    "DNN_TARGET_CPU_FP16",
    "DNN_TARGET_CUDA",
    "DNN_TARGET_CUDA_FP16",
    "DNN_TARGET_FPGA",
    "DNN_TARGET_HDDL",
    "DNN_TARGET_MYRIAD",
    "DNN_TARGET_NPU",
    "DNN_TARGET_OPENCL",
    "DNN_TARGET_OPENCL_FP16",
    "DNN_TARGET_VULKAN",
    "SOFT_NMSMETHOD_SOFTNMS_GAUSSIAN",
    "SOFT_NMSMETHOD_SOFTNMS_LINEAR",
    "ClassificationModel",
    "DetectionModel",
    "Image2BlobParams",
    "KeypointsModel",
    "Layer",
    "Model",
    "NMSBoxes",
    "NMSBoxesBatched",
    "NMSBoxesRotated",
    "Net",
    "SegmentationModel",
    "blobFromImage",
    "blobFromImageWithParams",
    "blobFromImages",
    "blobFromImagesWithParams",
    "imagesFromBlob",
    "readNet",
    "readNetFromCaffe",
    "registerLayer",
    "shrinkCaffeModel",
    "softNMSBoxes",
    "unregisterLayer",
]


def __getattr__(name: str) -> Any:
    if name.startswith("readNetFrom"):
        hint = "it reads Caffe's files; `caffelite import-onnx` reads ONNX"
    else:
        hint = "OpenCV has more; what is here is listed in dir(caffelite.dnn)"
    raise AttributeError(f"caffelite.dnn has no {name}: {hint}")
