"""`caffelite data`, against a server of our own on this machine."""

from __future__ import annotations

import hashlib
import http.server
import io
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import lmdb
import pytest

from caffelite.cli import main
from caffelite.cli.work.data import DATASETS, Dataset
from caffelite.data import cifar10
from caffelite.data.download import NoConnection, Published, download
from caffelite.errors import DataError
from caffelite.schema.binary import decode
from caffelite.schema.datum import Datum

CONTENT = bytes(range(256)) * 2000
Capture = pytest.CaptureFixture[str]


def published(name: str, content: bytes = CONTENT) -> Published:
    return Published(name, hashlib.md5(content).hexdigest())


class Server(http.server.ThreadingHTTPServer):
    """Serves `files`; answers ranges unless `ranges` is False; breaks off after `limit` bytes."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {"a.bin": CONTENT, "b.bin": CONTENT[:7]}
        self.ranges = True
        self.limit: int | None = None
        self.asked: list[tuple[str, str | None]] = []
        self.url = f"http://127.0.0.1:{self.server_port}/"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        self.server.asked.append((self.path[1:], asked))
        data = self.server.files.get(self.path[1:])
        if data is None:
            self.send_error(404)
            return
        start = 0
        if asked and self.server.ranges:
            start = int(asked.removeprefix("bytes=").rstrip("-"))
            if start >= len(data):
                self.send_error(416)
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        self.wfile.write(data[start:][: self.server.limit])

    def log_message(self, *args: object) -> None:
        """Nothing on stderr."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = Server()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch) -> str:
    """An address where nothing listens."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    closed = Server()
    closed.server_close()
    return closed.url


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    files = (published("a.bin"), published("b.bin", CONTENT[:7]))
    monkeypatch.setitem(DATASETS, "toy", Dataset("a toy", files, ("http://toy.invalid/",)))


def test_files_are_downloaded_and_then_kept(
    server: Server, toy: None, tmp_path: Path, capsys: Capture
) -> None:
    folder = tmp_path / "new" / "toy"
    assert main(["data", "toy", str(folder), "--mirror", server.url.rstrip("/")]) == 0
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == server.files
    assert capsys.readouterr().out.count(": downloaded\n") == 2
    server.asked.clear()
    assert main(["data", "toy", str(folder), "--mirror", server.url]) == 0
    assert server.asked == []
    assert capsys.readouterr().out.count(": is there\n") == 2


def test_a_broken_download_is_gone_on_with(server: Server, tmp_path: Path) -> None:
    server.limit = 1000
    with pytest.raises(DataError, match=r"broke off after 1,000 of 512,000 bytes"):
        download(published("a.bin"), [server.url], tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["a.bin.part"]
    server.limit = None
    seen: list[tuple[int, int]] = []
    assert download(
        published("a.bin"), [server.url], tmp_path, lambda done, total: seen.append((done, total))
    )
    assert server.asked[-1] == ("a.bin", "bytes=1000-")
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    assert seen[0][0] > 1000
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert [p.name for p in tmp_path.iterdir()] == ["a.bin"]


def test_a_part_that_is_whole_needs_only_its_name(server: Server, tmp_path: Path) -> None:
    (tmp_path / "a.bin.part").write_bytes(CONTENT)
    assert download(published("a.bin"), [server.url], tmp_path)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize("size", [500, len(CONTENT), len(CONTENT) + 1])
def test_a_part_with_other_bytes_is_begun_anew(
    ranges: bool, size: int, server: Server, tmp_path: Path
) -> None:
    server.ranges = ranges
    (tmp_path / "a.bin.part").write_bytes(b"x" * size)
    assert download(published("a.bin"), [server.url], tmp_path)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


def test_a_wrong_checksum_is_refused(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="checksum is not the published"):
        download(published("a.bin", b"other"), [server.url], tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_file_of_another_content_is_not_replaced(server: Server, tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"precious")
    with pytest.raises(DataError, match="is there, but is another file"):
        download(published("a.bin"), [server.url], tmp_path)
    assert (tmp_path / "a.bin").read_bytes() == b"precious"
    assert server.asked == []


def test_what_the_server_has_not_is_told(
    server: Server, toy: None, tmp_path: Path, capsys: Capture
) -> None:
    del server.files["b.bin"]
    assert main(["data", "toy", str(tmp_path), "--mirror", server.url]) == 1
    said = capsys.readouterr()
    assert "b.bin cannot be downloaded" in said.err
    assert "404" in said.err
    assert (tmp_path / "a.bin").exists()


def test_another_mirror_helps_out(server: Server, nowhere: str, tmp_path: Path) -> None:
    missing = f"{server.url}no/"
    assert download(published("a.bin"), [nowhere, missing, server.url], tmp_path)
    with pytest.raises(DataError, match=r"404.*no connection"):
        download(published("b.bin"), [nowhere, missing], tmp_path)


def test_without_a_network_one_line_says_what_to_do(
    nowhere: str, toy: None, tmp_path: Path, capsys: Capture
) -> None:
    assert main(["data", "toy", str(tmp_path / "toy"), "--mirror", nowhere]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("no connection to 127.0.0.1:")
    assert line.endswith(f"can also be put into {tmp_path / 'toy'} by hand: a.bin, b.bin")
    with pytest.raises(NoConnection):
        download(published("a.bin"), [nowhere], tmp_path)


def test_names_and_folders_are_asked_for(capsys: Capture) -> None:
    assert main(["data", "mnits", "x"]) == 1
    assert 'did you mean "mnist"?' in capsys.readouterr().err
    assert main(["data", "imagenet", "x"]) == 1
    assert "known: mnist" in capsys.readouterr().err
    assert main(["data", "mnist"]) == 1
    assert "caffelite data mnist data/mnist" in capsys.readouterr().err
    assert main(["data"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [*DATASETS]


def archive(path: Path, sizes: dict[str, int]) -> Path:
    """CIFAR-10's archive with a few records: label i, then pixels of value i."""
    with tarfile.open(path, "w:gz") as tar:
        for name, count in sizes.items():
            data = b"".join(bytes([i]) * 3073 for i in range(count))
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


def test_cifar10_becomes_databases(tmp_path: Path) -> None:
    sizes = {f"data_batch_{i}.bin": i for i in range(1, 6)}
    path = archive(tmp_path / "c.tar.gz", {**sizes, "test_batch.bin": 4})
    assert cifar10.convert(path, tmp_path) == ["cifar10_train_lmdb", "cifar10_test_lmdb"]
    with lmdb.open(str(tmp_path / "cifar10_train_lmdb"), lock=False) as env, env.begin() as t:
        found = [(key, decode(value, Datum)) for key, value in t.cursor()]
    assert [key for key, _ in found] == [b"%05d" % i for i in range(15)]
    assert [datum.label for _, datum in found] == [i for n in range(1, 6) for i in range(n)]
    datum = found[-1][1]
    assert (datum.channels, datum.height, datum.width) == (3, 32, 32)
    assert datum.data == bytes([4]) * 3072
    assert cifar10.convert(path, tmp_path) == []


def test_a_damaged_archive_is_told_and_leaves_no_database(tmp_path: Path) -> None:
    path = archive(tmp_path / "c.tar.gz", {"data_batch_1.bin": 1})
    with pytest.raises(DataError, match="cannot be read"):
        cifar10.convert(path, tmp_path)
    path.write_bytes(b"no archive")
    with pytest.raises(DataError, match="cannot be read"):
        cifar10.convert(path, tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["c.tar.gz"]
