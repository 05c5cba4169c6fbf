"""Unpacking of archives that nobody has to trust."""

import contextlib
import functools
import gzip
import lzma
import re
import shutil
import stat
import sys
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import IO
from urllib.parse import unquote, urlsplit

from resnet.errors import UserError
from resnet.files import write_text

# The safe filter came with Python 3.11.4; Debian 12 has 3.11.2.
if sys.version_info >= (3, 11, 4):
    import tarfile
else:
    from backports import tarfile

# Zip files with damaged heads seem to be encrypted or of unknown kinds, which are RuntimeErrors.
DAMAGES = (RuntimeError, tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile)

# Of a URL's last part, what goes into a file's name as it is; the rest may mean something to a shell or a pattern.
PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")
DIGITS = 8
# What a zip file starts with.
ZIP = b"PK\x03\x04"


def archive_names(archives: Sequence[dict[str, str]]) -> dict[str, dict[str, str]]:
    """Return the archives by the names of the files that they are downloaded to.

    That is the last part of the URL's path. Where this is no plain name, or another archive has it too, digits of the
    md5 are put before it.

    Args:
        archives: ``url`` and ``md5`` of each.
    """
    last = {archive["md5"]: unquote(urlsplit(archive["url"]).path).rpartition("/")[2] for archive in archives}
    shared = {name for name, count in Counter(map(str.casefold, last.values())).items() if count > 1}
    names = {}
    for archive in archives:
        name, digits = last[archive["md5"]], archive["md5"][:DIGITS]
        if not PLAIN_NAME.fullmatch(name) or name.casefold() in shared:
            name = f"{digits}-{re.sub('[^A-Za-z0-9._-]+', '_', name)[-60:]}"
        names[name] = archive
    return names


def unpack(archive: Path, target: Path, members: list[str]) -> None:
    """Unpack ``members`` of a tar archive below ``target``; each file is whole or absent.

    Raises:
        UserError: the archive is truncated, damaged, or lacks a member; or the disk is full.
    """
    with _staging(archive, target) as staging:
        with tarfile.open(archive) as tar:
            wanted = [tar.getmember(name) for name in members]
            tar.extractall(staging, wanted, filter="data")
        for name in members:
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            (staging / name).replace(target / name)


def unpack_all(archive: Path, target: Path, name: str = "") -> None:
    """Unpack a tar archive as the folder ``name`` below ``target``, or its own folders without a name.

    A folder appears once all that is in it has been unpacked.

    Raises:
        UserError: the archive is truncated or damaged; or the disk is full.
    """
    with _staging(archive, target) as staging:
        with tarfile.open(archive) as tar:
            tar.extractall(staging, filter="data")
        for path in [staging] if name else list(staging.iterdir()):
            path.replace(target / (name or path.name))


def unpack_matching(archive: Path, target: Path, pattern: re.Pattern[str]) -> None:
    """Unpack the files of a tar or zip archive whose whole names match, to the pattern's first group below ``target``.

    For archives that share folders. Each file is whole or absent; one archive is unpacked once: when all of it is
    there, a file ``.<archive>.unpacked`` says so.

    Raises:
        UserError: the archive is missing, truncated or damaged, holds no such file, or one with an unsafe name or that
            is a link; or the disk is full.
    """
    if not archive.is_file():
        raise UserError(f"{archive} is missing; download it again")
    mark, size = target / f".{archive.name}.unpacked", f"{archive.stat().st_size}\n"
    if mark.is_file() and mark.read_text(encoding="utf-8") == size:
        return
    print(f"unpacking {archive} to {target}", flush=True)
    with _staging(archive, target) as staging:
        count = 0
        for name, content in _matching(archive, pattern):
            with content, (staging / "file").open("wb") as copy:
                shutil.copyfileobj(content, copy)
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            (staging / "file").replace(target / name)
            count += 1
    if not count:
        raise UserError(f"{archive} is not the expected archive: it has no file {pattern.pattern}")
    write_text(mark, size)


def _matching(archive: Path, pattern: re.Pattern[str]) -> Iterator[tuple[str, IO[bytes]]]:
    """Yield the place and the content of every file whose name matches.

    Raises:
        UserError: a name is not below the archive's top, or the file is a link or a device.
    """
    with archive.open("rb") as file:
        kind = _zip_files if archive.suffix == ".zip" or file.read(len(ZIP)) == ZIP else _tar_files
    for name, content in kind(archive):
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or "\\" in name:
            raise UserError(f"{archive} holds {name!r}, a name that leads elsewhere: it is not an official archive")
        if found := pattern.fullmatch(path.as_posix()):
            if content is None:
                raise UserError(f"{archive} holds {name!r}, which is not a plain file: it is not an official archive")
            yield found[1], content()


def open_member(tar: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    """Open a member that is a file or a hard link."""
    content = tar.extractfile(member)
    assert content is not None
    return content


def _tar_files(archive: Path) -> Iterator[tuple[str, Callable[[], IO[bytes]] | None]]:
    """Yield name and opener of every member but folders; no opener for symbolic links and devices."""
    with tarfile.open(archive) as tar:
        for member in tar:
            if not member.isdir():
                # A hard link is a second name of a file in the archive, and read from there.
                plain = member.isreg() or member.islnk()
                yield member.name, functools.partial(open_member, tar, member) if plain else None
        # Python takes a damaged head of a member, or none at all, for the end, which is a block of zeros.
        tar.fileobj.seek(tar.offset)
        if tar.fileobj.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise tarfile.ReadError("it has no end")


def _zip_files(archive: Path) -> Iterator[tuple[str, Callable[[], IO[bytes]] | None]]:
    """Yield name and opener of every member but folders; no opener for links and devices."""
    with zipfile.ZipFile(archive) as packed:
        for member in packed.infolist():
            if not member.is_dir():
                # Zip files made on Windows have no kind at all.
                plain = stat.S_IFMT(member.external_attr >> 16) in (0, stat.S_IFREG)
                yield member.orig_filename, functools.partial(packed.open, member) if plain else None


@contextlib.contextmanager
def _staging(archive: Path, target: Path) -> Iterator[Path]:
    """Yield a folder to unpack into, and say of every error which archive it is.

    Python's ``data`` filter refuses absolute paths, links that lead outside, and devices.
    """
    staging = target / f".{archive.name}.unpacking"
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    try:
        yield staging
    except KeyError as error:
        raise UserError(f"{archive} is not the expected archive: {error.args[0]}") from None
    except DAMAGES as error:
        reason = str(error).partition("\n")[0]
        raise UserError(
            f"{archive} is truncated or damaged ({reason}); put a whole one there (what Snakemake has downloaded, it "
            "downloads again where it is missing)"
        ) from None
    except OSError as error:
        raise UserError(f"cannot unpack {archive} to {target}: {error.strerror or error}") from None
    finally:
        shutil.rmtree(staging, ignore_errors=True)
