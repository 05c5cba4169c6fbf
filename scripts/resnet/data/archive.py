"""Unpacking of archives that nobody has to trust."""

import gzip
import shutil
import tarfile
import zlib
from pathlib import Path

from resnet.errors import UserError


def unpack(archive: Path, target: Path, members: list[str]) -> None:
    """Unpack ``members`` of a tar archive below ``target``; each file is whole or absent.

    Python's ``data`` filter refuses absolute paths, links that lead outside, and devices.

    Raises:
        UserError: the archive is truncated, damaged, or lacks a member; or the disk is full.
    """
    staging = target / f".{archive.name}.unpacking"
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    try:
        with tarfile.open(archive) as tar:
            wanted = [tar.getmember(name) for name in members]
            tar.extractall(staging, wanted, filter="data")
        for name in members:
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            (staging / name).replace(target / name)
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
