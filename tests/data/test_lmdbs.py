"""LMDB databases that change while they are read."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import lmdb
import pytest

from caffelite.data.lmdbs import Database, open_database
from caffelite.errors import DataError, NetError
from caffelite.files import parse_net
from caffelite.net import Net
from caffelite.schema.common import Phase

from .kinds import layer_text, make_files

WRITER = """
import sys, lmdb
env = lmdb.open(sys.argv[1], map_size=1 << 26, lock=sys.argv[2] == "lock")
print("ready", flush=True)
for round in range(1, 100000):
    with env.begin(write=True) as t:
        for i in range(40):
            t.put(b"%04d" % i, bytes([round % 256]) * (100 + 37 * (round + i) % 9000))
"""


def make(path: Path, count: int = 10, size: int = 5000) -> None:
    env = lmdb.open(str(path), map_size=1 << 26)
    with env.begin(write=True) as transaction:
        for i in range(count):
            transaction.put(b"%04d" % i, bytes([i]) * size)
    env.close()


@pytest.mark.parametrize("locks", ["lock", "none"])
def test_reading_beside_a_writer_sees_whole_records(locks: str, tmp_path: Path) -> None:
    path = tmp_path / "db"
    make(path, 40)
    if locks == "none":
        (path / "lock.mdb").unlink()
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), locks], stdout=subprocess.PIPE
    )
    assert writer.stdout is not None
    try:
        writer.stdout.readline()
        seen, refused = set(), 0
        with open_database(str(path)) as database:
            for _ in range(300):
                try:
                    records, following = database.take(b"0000", 40)
                except DataError as error:
                    assert "faster than it can be read" in str(error)
                    refused += 1
                    continue
                assert [key for key, _ in records] == [b"%04d" % i for i in range(40)]
                assert all(value == value[:1] * len(value) for _, value in records)
                assert following == b"0000"
                seen |= {value[0] for _, value in records}
        assert refused < 30 and len(seen) > 3
    finally:
        writer.kill()
        writer.wait()
        writer.stdout.close()


def test_a_database_that_is_cut_while_it_is_read_is_refused(tmp_path: Path) -> None:
    make(tmp_path / "db", 100)
    with open_database(str(tmp_path / "db")) as database:
        key = database.take(None, 3)[1]
        file = tmp_path / "db" / "data.mdb"
        os.truncate(file, file.stat().st_size // 2)
        with pytest.raises(DataError, match="is truncated: it has"):
            database.take(key, 90)


def test_a_database_that_grows_is_followed(tmp_path: Path) -> None:
    make(tmp_path / "db")
    code = (
        "import lmdb, sys\nenv = lmdb.open(sys.argv[1], map_size=1 << 26)\n"
        "with env.begin(write=True) as t:\n"
        "  for i in range(10, 6000): t.put(b'%04d' % i, bytes(4000))\n"
    )
    with open_database(str(tmp_path / "db")) as database:
        assert database.take(None, 10)[1] == b"0000"
        subprocess.run([sys.executable, "-c", code, str(tmp_path / "db")], check=True)
        records, following = database.take(b"0009", 20)
        assert records[0] == (b"0009", b"\x09" * 5000) and following == b"0029"


def test_a_record_that_is_gone_is_followed_by_the_next(tmp_path: Path) -> None:
    make(tmp_path / "db")
    with open_database(str(tmp_path / "db")) as database:
        assert database.take(b"0004x", 1) == ([(b"0005", b"\x05" * 5000)], b"0006")
        assert database.take(b"9", 1)[0][0][0] == b"0000"
        assert database.has(b"0004") and not database.has(b"0004x")
        assert [key for key, _ in database] == [b"%04d" % i for i in range(10)]


def test_one_that_is_shared_stays_open_for_the_other(tmp_path: Path) -> None:
    make(tmp_path / "db")
    path = str(tmp_path / "db")
    one, two = open_database(path), open_database(path)
    assert one is two
    one.close()
    assert len(two.take(None, 10)[0]) == 10
    two.close()
    third = open_database(path)
    assert isinstance(third, Database) and third is not one
    third.close()


def test_reading_makes_no_lock_file(tmp_path: Path) -> None:
    make(tmp_path / "db")
    (tmp_path / "db" / "lock.mdb").unlink()
    with open_database(str(tmp_path / "db")) as database:
        database.take(None, 3)
    assert os.listdir(tmp_path / "db") == ["data.mdb"]


@pytest.mark.parametrize(
    "kind, field, more",
    [
        ("Data", "prefetch: 2", "prefetch: 257"),
        ("ImageData", "rand_skip: 4", "rand_skip: 1201"),
        ("AnnotatedData", "rand_skip: 4", "rand_skip: 1201"),
    ],
)
def test_prefetch_and_rand_skip_have_a_bound(
    kind: str, field: str, more: str, tmp_path: Path
) -> None:
    make_files(tmp_path)
    text = layer_text(kind)
    assert field in text
    with pytest.raises(NetError, match=more.replace(": ", " is ")):
        Net(parse_net(text.replace(field, more)), phase=Phase.TRAIN, folder=str(tmp_path))
    most = more.replace("1201", "1200").replace("257", "256")
    for allowed in (text, text.replace(field, most)):
        Net(parse_net(allowed), phase=Phase.TRAIN, folder=str(tmp_path)).forward()
