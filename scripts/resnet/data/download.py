"""Downloads that resume, show their progress, and count only when their checksum is right."""

import io
import re
import sys
import time
from pathlib import Path

import requests
import urllib3
from urllib3.util import Retry

from resnet.errors import UserError
from resnet.files import checksum
from resnet.locks import file_lock
from resnet.progress import Progress

PIECE_BYTES = 1 << 16
ATTEMPTS = 5
TIMEOUT_SECONDS = 30
LONGEST_PAUSE_SECONDS = 3600
MD5_DIGITS = 32
# What a server says that is busy or broken for now.
PASSING = (408, 425, 429, 500, 502, 503, 504)
# Reading a body raises urllib3's errors, all else requests' own.
BROKEN = (
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.ChunkedEncodingError,
    urllib3.exceptions.ProtocolError,
    urllib3.exceptions.TimeoutError,
    urllib3.exceptions.SSLError,
)


class _BusyError(requests.ConnectionError):
    """The server cannot answer now; ``pause_seconds`` is how long it asks to wait, None if it does not say."""

    def __init__(self, message: str, pause_seconds: float | None) -> None:
        super().__init__(message)
        self.pause_seconds = pause_seconds


def download(
    url: str,
    target: Path,
    expected: str,
    pause_seconds: float = 2.0,
    hint: str = "Check its url and md5",
) -> None:
    """Download ``url`` to ``target``; an interrupted download goes on where it stopped.

    What has arrived is kept in ``<target>.part`` until it is complete with the right checksum; then it gets its name.
    One process at a time downloads a file; the others wait, and find it done.

    Args:
        url: where the file is.
        target: where it goes.
        expected: the checksum that its publisher gives: an md5, or the first digits of a sha256.
        pause_seconds: pause after a failed attempt, doubled with each that brings nothing.
        hint: what to do when the checksum is wrong.

    Raises:
        UserError: the url is none, the server refuses or fails again and again, or the checksum is wrong.
    """
    with file_lock(target, "downloading"):
        if target.is_file() and _has(target, expected):
            print(f"{target} is there already", flush=True)
            return
        part = target.with_name(target.name + ".part")
        kept = _size(part)
        _fetch_all(url, part, expected, pause_seconds)
        if kept and not _has(part, expected):
            print(f"the {kept} bytes kept in {part} were not of this file; downloading it from the start", flush=True)
            part.unlink()
            _fetch_all(url, part, expected, pause_seconds)
        if not _has(part, expected):
            algorithm, size = _algorithm(expected), _size(part)
            found = checksum(part, algorithm)
            part.unlink()
            raise UserError(
                f"{url} has the wrong content: {algorithm} {found} ({size} bytes), expected {expected}; the download "
                f"was discarded. {hint}"
            )
        part.replace(target)


def _algorithm(expected: str) -> str:
    return "md5" if len(expected) == MD5_DIGITS else "sha256"


def _has(path: Path, expected: str) -> bool:
    """Return whether a file has the checksum."""
    return checksum(path, _algorithm(expected)).startswith(expected)


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _fetch_all(url: str, part: Path, expected: str, pause_seconds: float) -> None:
    """Fetch what is missing of ``part``, in as many attempts as it takes while each brings something.

    Raises:
        UserError: the server refuses, or attempts in a row have brought nothing.
    """
    failures, version = 0, _Version()
    while True:
        before = _size(part)
        try:
            if _fetch(url, part, version) or _size(part) == before or _has(part, expected):
                return
        except BROKEN as error:
            have = _size(part)
            failures = 0 if have > before else failures + 1
            kept = f"{have} bytes are kept in {part} and the next start goes on from there"
            if failures == ATTEMPTS:
                raise UserError(
                    f"cannot download {url}: {ATTEMPTS} attempts have brought nothing ({_reason(error)}); {kept}"
                ) from None
            asked = error.pause_seconds if isinstance(error, _BusyError) else None
            if (asked or 0) > LONGEST_PAUSE_SECONDS:
                raise UserError(
                    f"cannot download {url}: {_reason(error)}, and asks to wait {asked:.0f} s; {kept}"
                ) from None
            pause = max(pause_seconds * 2 ** max(failures - 1, 0), asked or 0)
            print(f"{_reason(error)} after {have} bytes; again in {pause:.0f} s", flush=True)
            time.sleep(pause)
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            raise UserError(f"cannot download {url}: {_reason(error)}") from None


class _Version:
    """Which version of the file the server has sent so far: its entity tag, None while unknown."""

    tag: str | None = None


def _fetch(url: str, part: Path, version: _Version) -> bool:
    """Append what is missing to ``part``, in one attempt; each piece is on disk as soon as it has arrived.

    Returns:
        Whether the server has said that this is all; without a length, a broken connection looks like the end.
    """
    have = _size(part)
    headers = {"Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
        if version.tag:
            headers["If-Range"] = version.tag
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT_SECONDS) as response:
        if response.status_code == requests.codes.requested_range_not_satisfiable:
            # The part is whole already, or not a part of this file: the checksum tells.
            return True
        _check(url, response)
        start = _start(response, have)
        _compare(response, part, version, start)
        total = _length(url, response, start)
        progress = Progress(
            total, title=part.name.removesuffix(".part"), unit="B", speed_unit="MB", scale=1e-6, done=start
        )
        # Without a buffer: what a full disk has refused would be written again, and refused again, as the file closes.
        with part.open("r+b" if part.exists() else "wb", buffering=0) as file:
            # A server that ignores ranges sends the whole file: it is written over what is there, which is not cut
            # short, so that another broken connection loses nothing.
            file.seek(start)
            # As it was sent, and as soon as it is there: a whole piece would be lost with a connection that breaks.
            while piece := response.raw.read1(PIECE_BYTES, decode_content=False):
                _write(file, piece)
                progress.step(len(piece))
            if total is not None:
                if file.tell() < total:
                    raise requests.ConnectionError(f"{file.tell()} of {total} bytes arrived")
                file.truncate()
        progress.close()
        return total is not None or "Transfer-Encoding" in response.headers


def _check(url: str, response: requests.Response) -> None:
    """Raise what an answer other than content means."""
    said = f"the server says {response.status_code} {response.reason}"
    if response.status_code in PASSING:
        try:
            pause = Retry(retry_after_max=sys.maxsize).get_retry_after(response.raw)
        except urllib3.exceptions.InvalidHeader:
            pause = None
        raise _BusyError(said, pause)
    if not response.ok:
        raise UserError(f"cannot download {url}: {said}")


def _start(response: requests.Response, have: int) -> int:
    """Return from which byte on an answer has the file."""
    if response.status_code != requests.codes.partial_content:
        return 0
    found = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    start = int(found[1]) if found else have
    if start > have:
        raise requests.ConnectionError(f"the server sends the file from byte {start} instead of {have}")
    return start


def _compare(response: requests.Response, part: Path, version: _Version, start: int) -> None:
    """Discard what has arrived of a file that has changed on the server in the meantime."""
    tag = response.headers.get("ETag", "")
    # Weak tags are those of files that may differ in their bytes.
    if not tag.startswith('"'):
        return
    known, version.tag = version.tag, tag
    if known and known != tag:
        part.unlink(missing_ok=True)
        message = "the file has changed on the server"
        if start:
            raise requests.ConnectionError(message)
        print(f"{message}; downloading it from the start", flush=True)


def _length(url: str, response: requests.Response, start: int) -> int | None:
    """Return how long the whole file is, None where the server does not say.

    Raises:
        UserError: what it says is no number.
    """
    length = response.headers.get("Content-Length")
    if length is None:
        return None
    if not re.fullmatch("[0-9]+", length):
        raise UserError(f"cannot download {url}: the server says that its length is {length!r}")
    return start + int(length)


def _write(file: io.FileIO, piece: bytes) -> None:
    rest = memoryview(piece)
    try:
        while rest:
            rest = rest[file.write(rest) :]
    except OSError as error:
        raise UserError(
            f"cannot write {file.name}: {error.strerror}; what has arrived is kept for the next start"
        ) from None


def _reason(error: Exception) -> str:
    """Return the innermost error: the outer ones repeat it with the addresses of Python objects."""
    while isinstance(error.args[0] if error.args else None, Exception):
        error = error.args[0]
    return str(getattr(error, "reason", None) or (error.args or [error])[0])[:200]
