"""NumPy's files: .npz (several named arrays) and .npy (one)."""

from __future__ import annotations

import zipfile
from typing import IO

import numpy as np
from numpy.lib import format as npy

from caffelite.blob import Array, Shape
from caffelite.errors import DataError


def read_shapes(path: str) -> dict[str, tuple[Shape, np.dtype]]:
    """The arrays in a file and their shapes and types, without reading them; a .npy file's one
    array has the name "". Raises DataError if it is no such file."""
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                names = [n for n in archive.namelist() if n.endswith(".npy")]
                found = {}
                for name in names:
                    with archive.open(name) as member:
                        found[name[:-4]] = _header(member)
                return found
        with open(path, "rb") as file:
            return {"": _header(file)}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise DataError(f'"{path}" cannot be read as .npz or .npy: {error}') from None


def _header(file: IO[bytes]) -> tuple[Shape, np.dtype]:
    version = npy.read_magic(file)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, _, dtype = read(file)
    return shape, dtype


def read_arrays(path: str, names: list[str]) -> list[Array]:
    """The named arrays. A file that is no longer whole: DataError."""
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return [loaded]
        with loaded:
            return [loaded[name] for name in names]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f'"{path}" is damaged: {error}') from None
