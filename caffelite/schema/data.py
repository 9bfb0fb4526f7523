"""The data layers' messages. They stand here and not with the layers, because nets in Caffe's old
formats are brought up to date through them (`legacy.py`)."""

from __future__ import annotations

from enum import IntEnum

from caffelite.schema.message import field, repeated
from caffelite.schema.net import LayerMessage


class DB(IntEnum):
    """Kinds of database."""

    LEVELDB = 0
    LMDB = 1


class DataParameter(LayerMessage, field="data_param", number=107):
    """A database of Datum records."""

    source: str = field(1, "string", doc="the database's folder")
    batch_size: int = field(4, "uint32", least=1, doc="samples per batch")
    rand_skip: int = field(
        7, "uint32", default=0, deprecated=True, doc="skip up to this many records at the start"
    )
    backend: DB = field(8, DB, default=DB.LEVELDB, doc="the kind of database; LMDB is read here")
    scale: float = field(2, "float", default=1.0, deprecated=True, doc="see transform_param")
    mean_file: str = field(3, "string", deprecated=True, doc="see transform_param")
    crop_size: int = field(5, "uint32", default=0, deprecated=True, doc="see transform_param")
    mirror: bool = field(6, "bool", default=False, deprecated=True, doc="see transform_param")
    force_encoded_color: bool = field(9, "bool", default=False, doc="decode images in color")
    prefetch: int = field(10, "uint32", default=4, doc="batches that are made ahead")


class HDF5DataParameter(LayerMessage, field="hdf5_data_param", number=112):
    """Arrays in HDF5 files, one data set a top."""

    source: str = field(1, "string", doc="a text file that lists the HDF5 files, one a line")
    batch_size: int = field(2, "uint32", least=1, doc="samples per batch")
    shuffle: bool = field(3, "bool", default=False, doc="files, and rows in each, in random order")


class HDF5OutputParameter(LayerMessage, field="hdf5_output_param", number=113):
    """An HDF5 file that is written."""

    file_name: str = field(1, "string", doc="the file to write")


class ImageDataParameter(LayerMessage, field="image_data_param", number=115):
    """Image files that a text file lists."""

    source: str = field(1, "string", doc="a text file: a path and a label on each line")
    batch_size: int = field(4, "uint32", default=1, least=1, doc="samples per batch")
    rand_skip: int = field(7, "uint32", default=0, doc="skip up to this many images at the start")
    shuffle: bool = field(8, "bool", default=False, doc="a new random order each epoch")
    new_height: int = field(9, "uint32", default=0, doc="resize to this height; 0: as it is")
    new_width: int = field(10, "uint32", default=0, doc="resize to this width; 0: as it is")
    is_color: bool = field(11, "bool", default=True, doc="three channels, or else one")
    scale: float = field(2, "float", default=1.0, deprecated=True, doc="see transform_param")
    mean_file: str = field(3, "string", deprecated=True, doc="see transform_param")
    crop_size: int = field(5, "uint32", default=0, deprecated=True, doc="see transform_param")
    mirror: bool = field(6, "bool", default=False, deprecated=True, doc="see transform_param")
    root_folder: str = field(12, "string", doc="put in front of every path")


class MemoryDataParameter(LayerMessage, field="memory_data_param", number=119):
    """Arrays that a program hands over: the shape of a batch."""

    batch_size: int = field(1, "uint32", least=1, doc="samples per batch")
    channels: int = field(2, "uint32", least=1, doc="channels of a sample")
    height: int = field(3, "uint32", least=1, doc="height of a sample")
    width: int = field(4, "uint32", least=1, doc="width of a sample")
    dim: list[int] = repeated(
        5, "uint64", least=1, doc="naibaf7: the batch's shape, samples first, in place of these"
    )


class WindowDataParameter(LayerMessage, field="window_data_param", number=129):
    """Windows of images, as R-CNN trains on."""

    source: str = field(1, "string", doc="the window file")
    scale: float = field(2, "float", default=1.0, deprecated=True, doc="see transform_param")
    mean_file: str = field(3, "string", deprecated=True, doc="see transform_param")
    batch_size: int = field(4, "uint32", least=1, doc="windows per batch")
    crop_size: int = field(5, "uint32", default=0, deprecated=True, doc="see transform_param")
    mirror: bool = field(6, "bool", default=False, deprecated=True, doc="see transform_param")
    fg_threshold: float = field(7, "float", default=0.5, doc="overlap from which it is an object")
    bg_threshold: float = field(8, "float", default=0.5, doc="overlap below which it is background")
    fg_fraction: float = field(9, "float", default=0.25, doc="share of objects in a batch")
    context_pad: int = field(10, "uint32", default=0, doc="pixels of surroundings")
    crop_mode: str = field(11, "string", default="warp", doc="warp, or square")
    cache_images: bool = field(12, "bool", default=False, doc="keep the files in memory")
    root_folder: str = field(13, "string", doc="put in front of every path")
