"""A file → the text in it, or a clear word on why it holds none."""

from __future__ import annotations

import os
import re
from pathlib import Path

from caffelite.errors import ParseError, Problem, Source, did_you_mean
from caffelite.filetypes import EMPTY, FOLDER, TEXT, UTF16, type_of, type_of_folder
from caffelite.reading import check_limit, check_plain, limit
from caffelite.text.parse import normalised

_STRING_OR_COMMENT = re.compile(rb"""(?s:"(?:[^"\\]|\\.)*"?|'(?:[^'\\]|\\.)*'?|\#)""")
_GIVE_TEXT = "give a text definition here (.net, .solver, .prototxt)"


def read_source(path: str | os.PathLike[str], *, keeps_comments: bool = False) -> Source:
    """The text of a file in UTF-8, with LF line ends and without a byte-order mark.

    Comments may be in another encoding, as they are in many published files: what is not UTF-8
    becomes U+FFFD there. With `keeps_comments` that is refused, for a caller who writes them back.

    Raises ParseError if there is no such file, or it holds something else than text.
    """
    name = os.fspath(path)
    try:
        data = _read(name)
    except (OSError, ValueError) as error:
        raise _refused(name, *_why_unreadable(Path(name), error)) from None
    kind = type_of(data, name)
    if kind is UTF16:
        raise _refused(name, f"this is {kind.name}", kind.hint)
    if kind not in (TEXT, EMPTY, None):
        raise _refused(name, f"this is {kind.name}, not a text definition", kind.hint or _GIVE_TEXT)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        at = error.start if keeps_comments else _first_outside_comments(data)
        if at is not None:
            raise _not_utf8(name, data, at) from None
        text = data.decode("utf-8", "replace")
    source = normalised(Source(name, text))
    if "\0" in source.text:
        span = source.span(source.text.index("\0"))
        raise ParseError(Problem("a NUL byte in a text", span, hint="is the file damaged?"))
    return source


def _read(name: str) -> bytes:
    """All of a file. A pipe is read if it was given to this process, /dev/stdin or what a shell
    makes of <(...); any other, as a device, may have no end."""
    most, given = limit("definition"), name.startswith(("/dev/fd/", "/dev/stdin"))
    if not given and os.path.exists(name) and not os.path.isdir(name):
        check_plain(name, ParseError)
    with open(name, "rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        size = len(data) if given else max(len(data), os.path.getsize(name))
        check_limit("definition", size, f'"{name}"', ParseError)
    return data


def _refused(name: str, message: str, hint: str | None) -> ParseError:
    return ParseError(Problem(f"{name}: {message}", hint=hint))


def _why_unreadable(path: Path, error: Exception) -> tuple[str, str | None]:
    if os.path.isdir(path):
        kind = type_of_folder(path)
        wanted = "a file" if kind is FOLDER else "a text definition"
        return f"this is {kind.name}, not {wanted}", _GIVE_TEXT
    if isinstance(error, FileNotFoundError):
        try:
            near = os.listdir(path.parent)
        except OSError:
            return "no such file", f"there is no folder {path.parent} either"
        return "no such file", did_you_mean(path.name, near)
    return f"cannot be read: {getattr(error, 'strerror', None) or error}", None


def _first_outside_comments(data: bytes) -> int | None:
    """Where the first byte is that is not UTF-8 and stands in no comment; None: nowhere."""
    start = 0
    for line in data.splitlines(keepends=True):
        found = _STRING_OR_COMMENT.finditer(line)
        code = next((line[: m.start()] for m in found if m[0] == b"#"), line)
        try:
            code.decode("utf-8")
        except UnicodeDecodeError as error:
            return start + error.start
        start += len(line)
    return None


def _not_utf8(name: str, data: bytes, at: int) -> ParseError:
    source = normalised(Source(name, data.decode("utf-8", "replace")))
    before = normalised(Source(name, data[:at].decode("utf-8", "replace"))).text
    return ParseError(
        Problem(
            f"byte 0x{data[at]:02X} is not UTF-8 text",
            source.span(len(before)),
            hint="save the file as UTF-8; is it in Latin-1 or another old encoding?",
        )
    )
