"""A file → the text in it, or a clear word on why it holds none."""

from __future__ import annotations

import os
import re
from pathlib import Path

from caffelite.errors import ParseError, Problem, Source, Span, did_you_mean
from caffelite.text.parse import normalised

_MAGIC = {
    b"\x89HDF\r\n\x1a\n": "an HDF5 file",
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"GIF8": "a GIF image",
    b"PK\x03\x04": "a zip archive (.zip, .npz)",
    b"\x1f\x8b": "a gzip archive",
    b"\x93NUMPY": "a NumPy array (.npy)",
    b"%PDF": "a PDF document",
}
_LMDB_MAGIC = b"\xde\xc0\xef\xbe"  # 0xBEEFC0DE, after a page header of 16 bytes
_BINARY_SUFFIXES = (".caffemodel", ".solverstate", ".binaryproto", ".pb")
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1f\x7f]")
_GIVE_TEXT = "give a text definition here (.net, .solver, .prototxt)"


def read_source(path: str | os.PathLike[str]) -> Source:
    """The text of a file in UTF-8, with LF line ends and without a byte-order mark.

    Raises ParseError if there is no such file, or it holds something else than text.
    """
    name = os.fspath(path)
    try:
        data = Path(name).read_bytes()
    except OSError as error:
        raise _refused(name, *_why_unreadable(Path(name), error)) from None
    if kind := _kind_of_binary(data, name):
        raise _refused(name, f"this is {kind}, not a text definition", _GIVE_TEXT)
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise _refused(name, "this text is in UTF-16, not UTF-8", "save it again as UTF-8")
    if re.match(rb"(\xef\xbb\xbf)?\s*<(!doctype\s+html|html|head)\b", data[:1000], re.IGNORECASE):
        raise _refused(
            name,
            "this is a web page (HTML), not a text definition",
            "a saved page instead of the raw file? download the raw file",
        )
    try:
        source = normalised(Source(name, data.decode("utf-8")))
    except UnicodeDecodeError as error:
        raise _not_utf8(name, data, error.start) from None
    if "\0" in source.text:
        span = _span_at(source, source.text.index("\0"))
        raise ParseError(Problem("a NUL byte in a text", span, hint="is the file damaged?"))
    return source


def _refused(name: str, message: str, hint: str | None) -> ParseError:
    return ParseError(Problem(f"{name}: {message}", hint=hint))


def _why_unreadable(path: Path, error: OSError) -> tuple[str, str | None]:
    if path.is_dir():
        if (path / "data.mdb").exists():
            return "this is an LMDB database, not a text definition", _GIVE_TEXT
        return "this is a folder, not a file", _GIVE_TEXT
    if isinstance(error, FileNotFoundError):
        try:
            near = os.listdir(path.parent)
        except OSError:
            return "no such file", f"there is no folder {path.parent} either"
        return "no such file", did_you_mean(path.name, near)
    return f"cannot be read: {error.strerror or error}", None


def _kind_of_binary(data: bytes, name: str) -> str | None:
    for magic, kind in _MAGIC.items():
        if data.startswith(magic):
            return kind
    if data[16:20] == _LMDB_MAGIC:
        return "an LMDB database"
    if not data.startswith((b"\xff\xfe", b"\xfe\xff")) and (
        _CONTROL.search(data) and (name.endswith(_BINARY_SUFFIXES) or _is_wire_format(data))
    ):
        return "a binary protobuf file (such as .caffemodel or .solverstate)"
    return None


def _is_wire_format(data: bytes) -> bool:
    """Whether the bytes are, from first to last, the fields of one protobuf message."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, wire_type = tag >> 3, tag & 7
        if not 0 < number < 1 << 29 or wire_type not in (0, 1, 2, 5):
            return False
        if wire_type == 0:
            _, at = _varint(data, at)
        elif wire_type == 2:
            size, at = _varint(data, at)
            at += size
        else:
            at += 8 if wire_type == 1 else 4
    return at == len(data) > 0


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A base-128 number and where it ends; one that is cut off or too long reads as 0."""
    value = 0
    for i, byte in enumerate(data[at : at + 10]):
        value |= (byte & 0x7F) << 7 * i
        if byte < 0x80:
            return value, at + i + 1
    return 0, len(data) + 1


def _not_utf8(name: str, data: bytes, at: int) -> ParseError:
    source = normalised(Source(name, data.decode("utf-8", "replace")))
    before = normalised(Source(name, data[:at].decode("utf-8"))).text
    return ParseError(
        Problem(
            f"byte 0x{data[at]:02X} is not UTF-8 text",
            _span_at(source, len(before)),
            hint="save the file as UTF-8; is it in Latin-1 or another old encoding?",
        )
    )


def _span_at(source: Source, at: int) -> Span:
    text = source.text
    return Span(source, text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at))
