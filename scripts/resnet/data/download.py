"""Downloads that resume, show their progress, and count only when their checksum is right."""

import time
from pathlib import Path
from typing import BinaryIO

import requests

from resnet.errors import UserError
from resnet.files import checksum
from resnet.progress import Progress

PIECE_BYTES = 1 << 16
ATTEMPTS = 5
TIMEOUT_SECONDS = 30
MD5_DIGITS = 32


def download(
    url: str,
    target: Path,
    expected: str,
    pause_seconds: float = 2.0,
    hint: str = "Check its url and md5",
) -> None:
    """Download ``url`` to ``target``; an interrupted download goes on where it stopped.

    What has arrived is kept in ``<target>.part`` until it is complete with the right checksum; then it gets its name.

    Args:
        url: where the file is.
        target: where it goes.
        expected: the checksum that its publisher gives: an md5, or the first digits of a sha256.
        pause_seconds: pause after a broken connection, doubled each time.
        hint: what to do when the checksum is wrong.

    Raises:
        UserError: the url is none, the server refuses, the connection keeps breaking, or the checksum is wrong.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    for attempt in range(1, ATTEMPTS + 1):
        try:
            _fetch(url, part)
            break
        except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
            have = part.stat().st_size if part.exists() else 0
            if attempt == ATTEMPTS:
                raise UserError(
                    f"cannot download {url}: the connection broke {ATTEMPTS} times ({_reason(error)}); {have} bytes "
                    f"are kept in {part} and the next start goes on from there"
                ) from None
            pause = pause_seconds * 2 ** (attempt - 1)
            print(f"connection broke after {have} bytes ({_reason(error)}); again in {pause:.0f} s", flush=True)
            time.sleep(pause)
        except requests.RequestException as error:
            raise UserError(f"cannot download {url}: {_reason(error)}") from None
    algorithm = "md5" if len(expected) == MD5_DIGITS else "sha256"
    if not (found := checksum(part, algorithm)).startswith(expected):
        size = part.stat().st_size
        part.unlink()
        raise UserError(
            f"{url} has the wrong content: {algorithm} {found} ({size} bytes), expected {expected}; the download was "
            f"discarded. {hint}"
        )
    part.replace(target)


def _fetch(url: str, part: Path) -> None:
    """Append what is missing to ``part``."""
    have = part.stat().st_size if part.exists() else 0
    headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={have}-"} if have else {})}
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT_SECONDS) as response:
        if response.status_code == requests.codes.requested_range_not_satisfiable:
            # The part is whole already, or not a part of this file: the checksum tells.
            return
        if not response.ok:
            raise UserError(f"cannot download {url}: the server says {response.status_code} {response.reason}")
        if have and response.status_code != requests.codes.partial_content:
            have = 0  # The server ignores ranges and sends the whole file.
        length = response.headers.get("Content-Length")
        total = have + int(length) if length else None
        progress = Progress(
            total, title=part.name.removesuffix(".part"), unit="B", speed_unit="MB", scale=1e-6, done=have
        )
        with part.open("r+b" if have else "wb") as file:
            file.seek(have)
            for piece in response.iter_content(PIECE_BYTES):
                _write(file, piece)
                progress.step(len(piece))
        progress.close()
    if total is not None and part.stat().st_size < total:
        raise requests.ConnectionError(f"{part.stat().st_size} of {total} bytes arrived")


def _write(file: BinaryIO, piece: bytes) -> None:
    try:
        file.write(piece)
        # So that a full disk shows here, and what is on disk is what a later start goes on from.
        file.flush()
    except OSError as error:
        raise UserError(
            f"cannot write {file.name}: {error.strerror}; what has arrived is kept for the next start"
        ) from None


def _reason(error: Exception) -> str:
    """Return the innermost error: the outer ones repeat it with the addresses of Python objects."""
    while isinstance(error.args[0] if error.args else None, Exception):
        error = error.args[0]
    return str(getattr(error, "reason", None) or error)[:200]
