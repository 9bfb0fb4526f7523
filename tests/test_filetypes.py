"""Kinds of files: told apart by their first bytes, and one place does it."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import numpy as np
import pytest

import caffelite
from caffelite import filetypes
from caffelite.filetypes import FileType, type_by_start, type_of, type_of_folder
from caffelite.schema.binary import encode
from caffelite.schema.net import LayerParameter, NetParameter

PACKAGE = Path(caffelite.__file__).parent
NET = encode(NetParameter(name="n", layer=[LayerParameter(name="a", type="ReLU")]))


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", filetypes.EMPTY),
        (b'name: "LeNet"\n', filetypes.TEXT),
        ("name: 'Größe'\n".encode(), filetypes.TEXT),
        ("\ufeffname".encode("utf-16-le"), filetypes.UTF16),
        (NET, filetypes.PROTOBUF),
        (b"\x89HDF\r\n\x1a\n\0\0", filetypes.HDF5),
        (gzip.compress(b"x", mtime=0), filetypes.GZIP),
        (b"PK\x03\x04\x14\0", filetypes.ZIP),
        (b"\x93NUMPY\x01\0", filetypes.NPY),
        (b"\x80\x04\x95\x10\0", filetypes.PICKLE),
        (b"\x89PNG\r\n\x1a\n", filetypes.PNG),
        (b"\xff\xd8\xff\xe0\0", filetypes.JPEG),
        (b"GIF89a", filetypes.GIF),
        (b"%PDF-1.4", filetypes.PDF),
        (b"\0" * 16 + b"\xde\xc0\xef\xbe" + b"\0" * 9, filetypes.LMDB),
        (b"\n <HTML>", filetypes.HTML),
        (b"<?xml version='1.0'?>", filetypes.HTML),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", filetypes.LFS),
        (b"\x00\x01\x02 no message", None),
    ],
)
def test_bytes_are_told_apart(data: bytes, kind: FileType | None) -> None:
    assert type_of(data) is kind
    assert type_by_start(data) in (kind, None)


def test_a_damaged_message_is_known_by_the_name_of_its_file() -> None:
    assert type_of(NET[:-1]) is None
    assert type_of(NET[:-1], "x.caffemodel") is filetypes.PROTOBUF


def test_numpy_s_own_files(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros(2))
    np.savez(tmp_path / "a.npz", a=np.zeros(2))
    assert type_of((tmp_path / "a.npy").read_bytes()) is filetypes.NPY
    assert type_of((tmp_path / "a.npz").read_bytes()) is filetypes.ZIP


def test_folders_may_be_databases(tmp_path: Path) -> None:
    assert type_of_folder(tmp_path) is filetypes.FOLDER
    (tmp_path / "CURRENT").touch()
    assert type_of_folder(tmp_path) is filetypes.LEVELDB
    (tmp_path / "data.mdb").touch()
    assert type_of_folder(tmp_path) is filetypes.LMDB


MAGIC = re.compile(r"""b"(\\x89(HDF|PNG)|PK\\x03|\\x1f\\x8b|\\x93NUMPY|\\x80\\x0|<!doctype)""")


def test_no_other_module_knows_first_bytes() -> None:
    found = {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        if MAGIC.search(path.read_text(encoding="utf-8"))
    }
    assert found == {"filetypes.py", "plot/pictures.py"}  # the latter writes PNG
