"""Downloading published files: verified, resumed, never half there."""

from __future__ import annotations

import hashlib
import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from caffelite.errors import DataError, Problem

CHUNK = 1 << 16


@dataclass(frozen=True)
class Published:
    """A file and its MD5 checksum as its publisher gives it."""

    name: str
    md5: str


Progress = Callable[[int, int], None]
"""Told how many bytes there are, and how many there will be (0: not known)."""


def download(
    file: Published,
    mirrors: Sequence[str],
    folder: Path,
    progress: Progress = lambda done, total: None,
    timeout: float = 30.0,
) -> bool:
    """Get a file into a folder; False if it is there already.

    `mirrors` are addresses that end in "/", tried one after the other. Bytes arrive in NAME.part,
    which a later call goes on with, and get their name when the checksum is right. Raises
    DataError, of the kind NoConnection if no mirror could be reached.
    """
    target, part = folder / file.name, folder / f"{file.name}.part"
    if target.exists():
        if md5_of(target) == file.md5:
            return False
        raise DataError(
            Problem(
                f'"{target}" is there, but is another file: its MD5 checksum is not {file.md5}',
                hint="remove it, or give another folder",
            )
        )
    unreachable, failures = [], []
    for mirror in mirrors:
        host = urlsplit(mirror).netloc
        try:
            _fetch_verified(mirror + file.name, part, file.md5, progress, timeout)
            os.replace(part, target)
            return True
        except _Unreachable as error:
            unreachable.append(f"{host} ({error})")
        except _Failed as error:
            failures.append(f"{host}: {error}")
        except OSError as error:
            raise DataError(f'"{part}" cannot be written: {error.strerror or error}') from None
    if not failures:
        raise NoConnection(f"no connection to {', '.join(unreachable)}")
    failures += [f"no connection to {host}" for host in unreachable]
    raise DataError(f"{file.name} cannot be downloaded: {'; '.join(failures)}")


class NoConnection(DataError):
    """No mirror could be reached."""


class _Unreachable(Exception):
    """There is no answer from a mirror."""


class _Failed(Exception):
    """There is an answer, but not the published file."""


def md5_of(path: Path) -> str:
    """A file's MD5 checksum: enough to see damage, which is what it is published for."""
    digest = hashlib.md5(usedforsecurity=False)
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _fetch_verified(url: str, part: Path, md5: str, progress: Progress, timeout: float) -> None:
    resumed = _fetch(url, part, progress, timeout)
    if resumed and md5_of(part) != md5:  # the bytes from before may be the wrong ones
        part.unlink()
        _fetch(url, part, progress, timeout)
    if md5_of(part) != md5:
        part.unlink()
        raise _Failed(f"the file's MD5 checksum is not the published {md5}")


def _fetch(url: str, part: Path, progress: Progress, timeout: float) -> bool:
    """Bring `part` to its full length; True if it had bytes that were gone on from."""
    start = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"User-Agent": "caffelite"})
    if start:
        request.add_header("Range", f"bytes={start}-")
    try:
        response = urllib.request.urlopen(request, timeout=timeout)
    except urllib.error.HTTPError as error:
        if error.code == 416 and start:  # nothing lies beyond what is there
            return True
        raise _Failed(f"it answers {error.code} ({error.reason})") from None
    except (OSError, http.client.HTTPException) as error:
        raise _Unreachable(_plain(getattr(error, "reason", error))) from None
    with response:
        goes_on = response.status == 206 and _range_start(response) == start
        if response.status == 206 and not goes_on:
            raise _Failed("it sends another part of the file than it was asked for")
        done = start if goes_on else 0
        length = response.headers.get("Content-Length")
        total = done + int(length) if length else 0
        with open(part, "ab" if goes_on else "wb") as file:
            for chunk in _chunks(response):
                file.write(chunk)
                done += len(chunk)
                progress(done, total)
    if done < total:
        raise _Failed(f"it broke off after {done:,} of {total:,} bytes; run again to go on")
    return goes_on


def _range_start(response: http.client.HTTPResponse) -> int:
    """ "bytes 100-199/200" begins at 100."""
    text = response.headers.get("Content-Range", "").removeprefix("bytes ").partition("-")[0]
    return int(text) if text.isdecimal() else -1


def _chunks(response: http.client.HTTPResponse) -> Iterator[bytes]:
    try:
        while chunk := response.read(CHUNK):
            yield chunk
    except http.client.IncompleteRead as error:
        yield error.partial
    except (OSError, http.client.HTTPException) as error:
        raise _Failed(f"it broke off: {_plain(error)}; run again to go on") from None


def _plain(reason: object) -> str:
    return str(getattr(reason, "strerror", None) or reason or type(reason).__name__)
