"""Files that are whole or absent."""

import codecs
import contextlib
import csv
import dataclasses
import functools
import hashlib
import io
import json
import math
import os
import re
import socket
import typing
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import NoneType
from typing import Any, TypedDict, TypeVar

import msgspec
import yaml

from resnet.errors import UserError

Arrays = TypeVar("Arrays")
# A tenth of the time where PyYAML was built with its C library.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# .<name>.<process>@<host>.tmp, as atomic_path names what is not whole yet; earlier ones have no host.
TEMPORARY = re.compile(r"\..+\.(?P<process>\d+)(?:@(?P<host>.+))?\.tmp")
# Python's way to carry names of files that are not UTF-8.
BYTES = "surrogateescape"
# What to do about a file that the pipeline has made itself; a person's own data get other advice.
REMAKE = "delete it and run Snakemake again"


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` that takes its name once the block has ended without an error.

    The content is flushed to disk before the rename, so after a crash or a power cut ``path`` holds either the old
    or the new content. When the block fails the temporary file is removed and ``path`` is as it was. What writers that
    were killed have left in the folder is removed first.

    Raises:
        UserError: the disk is full or the folder cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}@{socket.gethostname()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_left_over(path.parent.absolute())
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        # What is read meanwhile has errors of its own.
        if error.filename not in (None, str(temporary), str(path.parent)):
            raise
        raise UserError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


@functools.cache
def remove_left_over(folder: Path) -> None:
    """Remove the temporary files in ``folder`` whose writer is dead; once per folder, as a process removes its own.

    Those of another host stay: whether their writer lives cannot be seen from here.
    """
    for path in folder.glob(".*.tmp"):
        writer = TEMPORARY.fullmatch(path.name)
        if writer and writer["host"] in (None, socket.gethostname()) and not _is_alive(int(writer["process"])):
            path.unlink(missing_ok=True)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def write_text(path: Path, text: str) -> None:
    """Write ``text`` (UTF-8) to ``path`` atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON to ``path`` atomically.

    Raises:
        UserError: a number is NaN or infinite, so nothing is written.
    """
    require_finite(path, value)
    write_text(path, json.dumps(value, indent=2) + "\n")


def require_finite(path: Path, value: Any) -> None:
    """Refuse a nest of dictionaries and lists for the file ``path`` in which a number is NaN or infinite.

    Raises:
        UserError: there is one; the message says where.
    """
    if (place := _not_finite(value)) is not None:
        raise UserError(f"{path} is not written: {place} is not a finite number")


def _not_finite(value: Any, place: str = "") -> str | None:
    """Return the place of the first number that is NaN or infinite."""
    if isinstance(value, float):
        return None if math.isfinite(value) else place or str(value)
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list | tuple) else ()
    found = (_not_finite(one, f"{place}.{key}".lstrip(".")) for key, one in items)
    return next((one for one in found if one is not None), None)


def write_yaml(path: Path, value: Any) -> None:
    """Write ``value`` as YAML in its own order to ``path`` atomically."""
    write_text(path, yaml.safe_dump(value, sort_keys=False, width=100))


def write_rows(path: Path, columns: tuple[str, ...], rows: list[dict[str, Any]]) -> None:
    """Write ``rows`` as CSV with the given columns to ``path`` atomically; floats keep every digit.

    Names of files that are not UTF-8 keep their bytes.

    Raises:
        UserError: a number is NaN or infinite, so nothing is written.
    """
    require_finite(path, rows)
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8", errors=BYTES) as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def read_text(path: Path) -> str:
    """Read a text file (UTF-8).

    Raises:
        UserError: it is absent, unreadable, a folder or something else than text.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise UserError(f"{path} does not exist") from None
    except UnicodeDecodeError:
        raise UserError(f"{path} is not text in UTF-8") from None
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None


def read_lines(path: Path) -> list[str]:
    """Read a text file of a person's, line by line, whatever system wrote it; empty lines at its end are left out.

    It is UTF-8 or UTF-16 with a byte order mark, UTF-8 without, or else Latin-1 as Windows has it.

    Raises:
        UserError: it is no text.
    """
    content = path.read_bytes()
    marked = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    for encoding in ("utf-16",) if marked else ("utf-8-sig", "cp1252"):
        with contextlib.suppress(UnicodeDecodeError):
            text = io.StringIO(content.decode(encoding), newline=None).read().rstrip()
            return text.split("\n") if text else []
    raise UserError(f"{path} is not text in UTF-8 or Latin-1; save it as UTF-8")


def read_json(path: Path, kind: Any = Any, fix: str = REMAKE) -> Any:
    """Read a JSON file and compare what it holds with ``kind``.

    Args:
        path: the file.
        kind: what it should hold.
        fix: what to do when it does not; the pipeline's own files can be made again.

    Raises:
        UserError: it is absent, unreadable, not JSON, or holds something else.
    """
    try:
        value = msgspec.json.decode(read_text(path))
    except (msgspec.DecodeError, RecursionError) as error:
        raise UserError(f"{path} is not valid JSON ({error}); {fix}") from None
    _compare(value, kind, str(path), fix)
    return value


def read_json_part(path: Path, kind: Any, fix: str = REMAKE) -> Any:
    """Read what ``kind`` names of a JSON file and leave out the rest, which may be most of a large one.

    Raises:
        UserError: as ``read_json``.
    """
    with contextlib.suppress(OSError, msgspec.DecodeError, RecursionError):
        return msgspec.json.decode(path.read_bytes(), type=kind)
    # Which says what is wrong, and where.
    return read_json(path, kind, fix)


def read_yaml(path: Path, kind: Any = Any, fix: str = REMAKE) -> Any:
    """Read a YAML file as ``read_json`` reads JSON.

    Raises:
        UserError: it is absent, unreadable, not YAML, or holds something else.
    """
    try:
        value = yaml.load(read_text(path), Loader=LOADER)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UserError(f"{path} is not valid YAML ({' '.join(str(error).split())}); {fix}") from None
    _compare(value, kind, str(path), fix)
    return value


def read_rows(path: Path, columns: dict[str, Any], fix: str = REMAKE) -> list[dict[str, Any]]:
    """Read a CSV file; the named columns must be there and hold what they are said to, the others stay text.

    Args:
        path: the file.
        columns: the type of each column: ``int``, ``float`` or ``str``; with ``| None``, its cells may be empty.
        fix: what to do when it is otherwise.

    Raises:
        UserError: it is absent, unreadable, lacks a column or has no row, or a cell is wrong.
    """
    reader = csv.DictReader(io.StringIO(read_text(path), newline=""), strict=True)
    try:
        rows = list(reader)
    except csv.Error as error:
        raise UserError(f"{path} is not CSV ({error}); {fix}") from None
    if missing := columns.keys() - set(reader.fieldnames or ()):
        raise UserError(f"{path} has no column {', '.join(sorted(missing))}; {fix}")
    if not rows:
        raise UserError(f"{path} has no rows; {fix}")
    for number, row in enumerate(rows, start=1):
        if None in row or None in row.values():
            raise UserError(f"{path}, row {number}: it has another number of cells than the first line; {fix}")
        row |= {name: _cell(row[name], kind) for name, kind in columns.items()}
        _compare(row, columns, f"{path}, row {number}", fix)
    return rows


def read_table(path: Path, columns: dict[str, Any], fix: str = REMAKE) -> list[dict[str, Any]]:
    """Read a CSV file as ``read_rows``; in its other columns, what looks like a number is one, and None is empty.

    Raises:
        UserError: as ``read_rows``.
    """
    rows = read_rows(path, columns, fix)
    others = int | float | str | None
    return [{key: value if key in columns else _cell(value, others) for key, value in row.items()} for row in rows]


def _cell(text: Any, kind: Any) -> Any:
    """Return a cell as what its column holds, or as the text that it is."""
    kinds = typing.get_args(kind) or (kind,)
    if not isinstance(text, str):
        return text
    if not text and NoneType in kinds:
        return None
    for number in (int, float):
        if number in kinds:
            with contextlib.suppress(ValueError):
                if math.isfinite(value := number(text)):
                    return value
    return text


def _compare(value: Any, kind: Any, place: str, fix: str) -> None:
    """Compare a value read from a file with a type: one that msgspec knows, or a dict of the types of its keys.

    Raises:
        UserError: it differs; the message says where.
    """
    try:
        # A TypedDict that is made while the program runs is nothing that type checkers know, but msgspec does.
        kind = TypedDict("Fields", kind) if isinstance(kind, dict) else kind  # pyrefly: ignore[not-callable]
        msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise UserError(f"{place}: {error}; {fix}") from None


def write_arrays(path: Path, value: Any) -> None:
    """Write a dataclass of arrays as npz atomically; the same values give the same bytes.

    Raises:
        UserError: an array holds NaN or infinity, so nothing is written.
    """
    import numpy as np

    arrays = {field.name: np.asarray(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if bad := _arrays_not_finite(arrays):
        raise UserError(f"{path} is not written: {bad} holds numbers that are not finite")
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)


def read_arrays(path: Path, kind: type[Arrays]) -> Arrays:
    """Read a dataclass of arrays; nothing in the file is executed.

    Raises:
        UserError: it is missing or damaged, or holds NaN or infinity.
    """
    import numpy as np

    check_archive(path, REMAKE)
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
        value = kind(**arrays)
    except (OSError, ValueError, TypeError, KeyError, EOFError, zlib.error) as error:
        raise UserError(f"{path} cannot be read ({error}); {REMAKE}") from None
    if bad := _arrays_not_finite(arrays):
        raise UserError(f"{path}: {bad} holds numbers that are not finite; {REMAKE}")
    return value


def _arrays_not_finite(arrays: dict[str, Any]) -> str | None:
    """Return the name of the first array of floats that holds NaN or infinity."""
    import numpy as np

    return next((name for name, one in arrays.items() if one.dtype.kind == "f" and not np.isfinite(one).all()), None)


def check_archive(path: Path, advice: str) -> None:
    """Compare every part of a zip archive, as .npz and .pt files are, with the CRC-32 that it carries.

    torch does not: it loads a file with a flipped bit. It takes a fraction of the time of loading the tensors.

    Args:
        path: the archive.
        advice: what the message ends with.

    Raises:
        UserError: it is missing, empty, truncated, damaged or no archive.
    """
    try:
        with path.open("rb") as file:
            start = file.read(4)
    except FileNotFoundError:
        raise UserError(f"{path} does not exist") from None
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None
    if not start:
        raise UserError(f"{path} is empty; {advice}")
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except Exception as error:
        # A damaged directory can end in any error; where the end of the file is gone, there is no directory.
        truncated = start == b"PK\x03\x04" and "not a zip file" in str(error)
        raise UserError(f"{path} is {'truncated' if truncated else 'damaged'}; {advice}") from None
    if damaged:
        raise UserError(f"{path} is damaged (the checksum of its part {damaged} is wrong); {advice}")


def checksum(path: Path, algorithm: str) -> str:
    """Return the hexadecimal digest of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()
