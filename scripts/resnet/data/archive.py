"""Unpacking of archives that nobody has to trust."""

import contextlib
import gzip
import shutil
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

from resnet.errors import UserError

# The safe filter came with Python 3.11.4; Debian 12 has 3.11.2.
if sys.version_info >= (3, 11, 4):
    import tarfile
else:
    from backports import tarfile


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
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(
            f"{archive} is truncated or damaged ({error}); delete it and run Snakemake again to download it anew"
        ) from None
    except OSError as error:
        raise UserError(f"cannot unpack {archive} to {target}: {error.strerror or error}") from None
    finally:
        shutil.rmtree(staging, ignore_errors=True)
