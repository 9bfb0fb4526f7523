"""What kind of file is this? One place tells them apart, by their first bytes where those say it.

Whoever expects one kind and finds another says which, with what to do about it.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass


@dataclass(frozen=True)
class FileType:
    """A kind of file: "an HDF5 file", and what one may do who did not mean to give it."""

    name: str
    hint: str | None = None


TEXT = FileType("text")
EMPTY = FileType("an empty file")
PROTOBUF = FileType("a binary protobuf file (such as .caffemodel or .solverstate)")
HDF5 = FileType("an HDF5 file")
LMDB = FileType("an LMDB database")
LEVELDB = FileType(
    "a LevelDB database",
    "make an LMDB of the images: caffelite convert-images LIST OUT_LMDB, or Caffe's "
    "convert_imageset --backend=lmdb",
)
FOLDER = FileType("a folder")
GZIP = FileType("a gzip archive", "unpack it first")
ZIP = FileType("a zip archive (.zip, .npz or a PyTorch file)")
NPY = FileType("a NumPy array (.npy)")
PICKLE = FileType("a Python pickle, which is not read: it could run anything")
PNG = FileType("a PNG image")
JPEG = FileType("a JPEG image")
GIF = FileType("a GIF image")
TIFF = FileType("a TIFF image")
RIFF = FileType("a RIFF file (WebP, AVI, WAV)")
PDF = FileType("a PDF document")
UTF16 = FileType("text in UTF-16, not UTF-8", "save it again as UTF-8")
HTML = FileType("a web page (HTML)", "a saved page instead of the raw file? download the raw file")
LFS = FileType("a Git LFS pointer, not the file", "run `git lfs pull`")

_MAGIC = {
    b"\x89HDF\r\n\x1a\n": HDF5,
    b"\x89PNG": PNG,
    b"\xff\xd8\xff": JPEG,
    b"GIF8": GIF,
    b"II*\0": TIFF,
    b"MM\0*": TIFF,
    b"RIFF": RIFF,
    b"PK\x03\x04": ZIP,
    b"\x1f\x8b": GZIP,
    b"\x93NUMPY": NPY,
    b"%PDF": PDF,
    b"\x80\x02": PICKLE,
    b"\x80\x03": PICKLE,
    b"\x80\x04\x95": PICKLE,
    b"\x80\x05\x95": PICKLE,
    b"\xff\xfe": UTF16,
    b"\xfe\xff": UTF16,
    b"version https://git-lfs": LFS,
}
_LMDB_MAGIC = b"\xde\xc0\xef\xbe"  # 0xBEEFC0DE, after a page header of 16 bytes
_HTML = re.compile(rb"(\xef\xbb\xbf)?\s*<(!doctype\s+html|html|head|\?xml)\b", re.IGNORECASE)
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1f\x7f]")
_BINARY_SUFFIXES = (".caffemodel", ".solverstate", ".binaryproto", ".pb")


def type_by_start(data: bytes) -> FileType | None:
    """The kind that the first kilobyte gives away; None where it could be many."""
    if not data:
        return EMPTY
    for magic, kind in _MAGIC.items():
        if data.startswith(magic):
            return kind
    if data[16:20] == _LMDB_MAGIC:
        return LMDB
    return HTML if _HTML.match(data[:1024]) else None


def type_of(data: bytes, name: str = "") -> FileType | None:
    """The kind of a file's content; its `name` decides where bytes could be many things. None:
    neither text nor anything known."""
    if (kind := type_by_start(data)) is not None:
        return kind
    if not _CONTROL.search(data):
        return TEXT
    return PROTOBUF if name.endswith(_BINARY_SUFFIXES) or is_protobuf(data) else None


def type_of_folder(path: str | os.PathLike[str]) -> FileType:
    """What a folder is: one of two databases, or just a folder."""
    names = set(os.listdir(path))
    if "data.mdb" in names:
        return LMDB
    return LEVELDB if "CURRENT" in names else FOLDER


def is_protobuf(data: bytes) -> bool:
    """Are the bytes, from first to last, the fields of one protobuf message?"""
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        number, wire_type = tag >> 3, tag & 7
        if not 0 < number < 1 << 29 or wire_type not in (0, 1, 2, 5):
            return False
        if wire_type == 0:
            _, at = varint(data, at)
        elif wire_type == 2:
            size, at = varint(data, at)
            at += size
        else:
            at += 8 if wire_type == 1 else 4
    return at == len(data) > 0


def varint(data: bytes, at: int) -> tuple[int, int]:
    """A base-128 number and where it ends; one that is cut off ends after the data."""
    value = 0
    for i, byte in enumerate(data[at : at + 10]):
        value |= (byte & 0x7F) << 7 * i
        if byte < 0x80:
            return value, at + i + 1
    return value, len(data) + 1
