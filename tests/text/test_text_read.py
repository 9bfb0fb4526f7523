"""Files that are text are read; every other kind of file is named and refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from caffelite.errors import ParseError
from caffelite.text import parse, read_source


def refusal(path: Path) -> str:
    with pytest.raises(ParseError) as caught:
        read_source(path)
    report = str(caught.value)
    assert report.startswith(str(path))
    return report.removeprefix(f"{path}")


def refusal_of(folder: Path, data: bytes, name: str = "f.net") -> str:
    path = folder / name
    path.write_bytes(data)
    return refusal(path)


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_text_is_read_whatever_its_line_ends(tmp_path: Path, mark: bytes, end: bytes) -> None:
    path = tmp_path / "f.net"
    path.write_bytes(mark + end.join([b'name: "\xc3\xa9"', b"a: 1", b""]))
    source = read_source(path)
    assert source.name == str(path)
    assert source.text == 'name: "\u00e9"\na: 1\n'
    assert read_source(str(path)) == source


@pytest.mark.parametrize("data", [b"", b"\xef\xbb\xbf", b"\n", b"# nothing\n"])
def test_an_empty_file_is_an_empty_message(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "f.net"
    path.write_bytes(data)
    assert parse(read_source(path)).fields == []


def test_a_missing_file_suggests_its_neighbour(tmp_path: Path) -> None:
    (tmp_path / "spiral.net").touch()
    assert refusal(tmp_path / "spirl.net") == ': no such file\n  did you mean "spiral.net"?'
    assert refusal(tmp_path / "Spiral.NET") == ': no such file\n  did you mean "spiral.net"?'
    assert refusal(tmp_path / "other") == ": no such file"


def test_a_missing_folder_is_said(tmp_path: Path) -> None:
    folder = tmp_path / "nets"
    assert refusal(folder / "f.net") == f": no such file\n  there is no folder {folder} either"


def test_folders_are_refused(tmp_path: Path) -> None:
    assert ": this is a folder, not a file" in refusal(tmp_path)
    (tmp_path / "data.mdb").touch()
    assert ": this is an LMDB database" in refusal(tmp_path)


def test_a_file_in_place_of_a_folder_is_said(tmp_path: Path) -> None:
    (tmp_path / "f.net").touch()
    refusal(tmp_path / "f.net" / "g.net")


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"\x89HDF\r\n\x1a\n\0\0", "an HDF5 file"),
        (b"\x89PNG\r\n\x1a\n\0\0", "a PNG image"),
        (b"\xff\xd8\xff\xe0\0", "a JPEG image"),
        (b"PK\x03\x04\x14\0", "a zip archive (.zip, .npz or a PyTorch file)"),
        (b"\x1f\x8b\x08\0", "a gzip archive"),
        (b"\x93NUMPY\x01\0", "a NumPy array (.npy)"),
        (b"\0" * 16 + b"\xde\xc0\xef\xbe" + b"\0" * 9, "an LMDB database"),
        (b"\x0a\x03net\xa2\x06\x05\x0a\x03\x01ip", "a binary protobuf file"),
        (b"\x08\x96\x01\x1a\x04\0\0\x80\x3f", "a binary protobuf file"),
    ],
)
def test_other_kinds_of_file_are_named(tmp_path: Path, data: bytes, kind: str) -> None:
    report = refusal_of(tmp_path, data)
    assert report.startswith(f": this is {kind}")
    hint = "unpack it first" if "gzip" in kind else "give a text definition here (.net, "
    assert f", not a text definition\n  {hint}" in report


def test_a_cut_off_caffemodel_is_known_by_its_name(tmp_path: Path) -> None:
    report = refusal_of(tmp_path, b"\x0a\x03net\xa2\x06\xff\x01\x0a\x03", "f.caffemodel")
    assert "binary protobuf file" in report


@pytest.mark.parametrize("page", [b"<!DOCTYPE html>\n<html>", b" \n<HTML lang='en'>"])
def test_a_web_page_is_recognised(tmp_path: Path, page: bytes) -> None:
    assert refusal_of(tmp_path, page) == (
        ": this is a web page (HTML), not a text definition\n"
        "  a saved page instead of the raw file? download the raw file"
    )


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-16-le"])
def test_utf16_is_recognised(tmp_path: Path, encoding: str) -> None:
    report = refusal_of(tmp_path, "\ufeffname: 'x'".encode(encoding))
    assert "this is text in UTF-16, not UTF-8\n  save it again as UTF-8" in report


def test_bytes_that_are_not_utf8_are_located(tmp_path: Path) -> None:
    report = refusal_of(
        tmp_path, 'a: 1\r\n  b: "\u00e9caf\u00e9"'.encode().replace(b"f\xc3\xa9", b"f\xe9")
    )
    assert report == (
        ":2:11: byte 0xE9 is not UTF-8 text\n"
        '    2 |   b: "\u00e9caf\ufffd"\n'
        "      |           ^\n"
        "  save the file as UTF-8; is it in Latin-1 or another old encoding?"
    )


def test_comments_may_be_in_another_encoding(tmp_path: Path) -> None:
    path = tmp_path / "old.net"
    gbk = "\u5377\u79ef".encode("gbk")
    path.write_bytes(b'name: "a#b"  # ' + gbk + b"\r\nforce_backward: true # '\xff\n")
    assert parse(read_source(path)).fields[1].name == "force_backward"
    with pytest.raises(ParseError, match=r":1:16: byte 0xBE is not UTF-8 text"):
        read_source(path, keeps_comments=True)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (b"# \xe9\nname: 'x # \xe9'", ":2:12"),
        (b'# \xe9\nname: "it\'s\\" # \xe9"  # \xe9', ":2:17"),
        (b"# \xe9\nn\xe9: 1  # \xe9", ":2:2"),
    ],
)
def test_a_hash_in_a_string_is_no_comment(tmp_path: Path, text: bytes, place: str) -> None:
    assert refusal_of(tmp_path, text).startswith(f"{place}: byte 0xE9 is not UTF-8 text\n")


def test_a_nul_byte_is_located(tmp_path: Path) -> None:
    assert refusal_of(tmp_path, b"a: 1\nb:\0").startswith(":2:3: a NUL byte in a text\n")
