"""`caffe_pb2`: Caffe's messages as protobuf's own classes, and what protoc puts beside them.

    from caffe.proto import caffe_pb2
    from google.protobuf import text_format

    net = caffe_pb2.NetParameter()
    text_format.Merge(open("train_val.prototxt").read(), net)
    net.layer[0].data_param.batch_size = 1

They are built from caffelite's declarations when this module is imported (`building.py`), layers of
plug-ins included, as far as those are imported by then. Caffe has them all, and so has its SSD
fork. Their descriptors are in a pool of their own, so another caffe_pb2 in the same program does
not clash.
"""

from __future__ import annotations

from typing import Any

from caffelite.pycaffe.proto.building import build

_BUILT = build(__name__)
globals().update(_BUILT)


def __getattr__(name: str) -> Any:
    raise AttributeError(f"caffe.proto.caffe_pb2 has no {name!r}")
