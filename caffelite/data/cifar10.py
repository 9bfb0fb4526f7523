"""CIFAR-10's archive as LMDB databases, as Caffe's example has them."""

from __future__ import annotations

import tarfile
from pathlib import Path

from caffelite.data.writer import DatabaseWriter
from caffelite.errors import DataError
from caffelite.schema.datum import Datum

PARTS = {
    "cifar10_train_lmdb": [f"data_batch_{i}.bin" for i in range(1, 6)],
    "cifar10_test_lmdb": ["test_batch.bin"],
}
PIXELS = 3 * 32 * 32


def convert(archive: Path, folder: Path) -> list[str]:
    """Make the databases that are not in `folder` yet; their names.

    A record of the archive is a label and the pixels (3, 32, 32), red first. It keeps them, as in
    Caffe's example. Raises DataError if the archive is not as published.
    """
    made = []
    for name, files in PARTS.items():
        if (folder / name).exists():
            continue
        try:
            with tarfile.open(archive) as tar, DatabaseWriter(str(folder / name)) as database:
                count = 0
                for file in files:
                    for record in _records(tar, file):
                        datum = Datum(
                            channels=3, height=32, width=32, data=record[1:], label=record[0]
                        )
                        database.put(f"{count:05d}".encode(), datum)
                        count += 1
        except (OSError, EOFError, KeyError, tarfile.TarError) as error:
            raise DataError(f'"{archive}" cannot be read: {error}') from None
        made.append(name)
    return made


def _records(tar: tarfile.TarFile, file: str) -> list[bytes]:
    member = tar.extractfile(f"cifar-10-batches-bin/{file}")
    data = member.read() if member else b""
    size = 1 + PIXELS
    if not data or len(data) % size:
        raise DataError(f'"{file}" holds {len(data)} bytes, which are no records of {size}')
    return [data[i : i + size] for i in range(0, len(data), size)]
