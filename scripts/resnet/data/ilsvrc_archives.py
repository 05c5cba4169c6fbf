"""ILSVRC2012's official archives: checked by md5 and unpacked into the folder tree that everything else reads."""

import shutil
import tarfile
from pathlib import Path

from resnet.data.archive import open_member, unpack_all
from resnet.data.imagenet import DEVKIT
from resnet.errors import UserError
from resnet.files import atomic_path, checksum
from resnet.progress import Progress

# As published by the organisers; torchvision checks the same.
MD5 = {
    "ILSVRC2012_img_train.tar": "1d675b47d978889d74fa0da5fadfb00e",
    "ILSVRC2012_img_val.tar": "29b22e2961454d5413ddabcf34fc5622",
    "ILSVRC2012_devkit_t12.tar.gz": "fa75699e90414af021442c21a62c3abf",
}
REGISTRATION = (
    "ILSVRC2012 cannot be downloaded without an account: register at https://image-net.org, download the training and "
    "validation images of task 1 & 2 and the devkit of ILSVRC2012, and name their folder in config.yaml under "
    "data.imagenet.archives; or name an existing folder with train/ and val/ under data.imagenet.folder"
)


def unpack_archives(archives: Path, target: Path, md5: dict[str, str] | None = None) -> None:
    """Unpack the three archives to ``target/train/<wnid>/``, ``target/val/`` and ``target/<devkit>/``.

    What an earlier, interrupted start has unpacked is not unpacked again.

    Args:
        archives: the folder they lie in.
        target: the folder to make.
        md5: other checksums than the official ones.

    Raises:
        UserError: an archive is missing, damaged or not the official one; or the disk is full.
    """
    md5 = md5 or MD5
    for name in md5:
        if not (archives / name).is_file():
            raise UserError(f"{archives / name} is missing. {REGISTRATION}")
    train, val, devkit = (archives / name for name in md5)
    if not (target / DEVKIT).is_dir():
        check(devkit, md5)
        unpack_all(devkit, target)
    if not (target / "val").is_dir():
        check(val, md5)
        unpack_all(val, target, "val")
    if not (target / "train").is_dir():
        check(train, md5)
        unpack_classes(train, target)


def check(archive: Path, md5: dict[str, str]) -> None:
    """Compare an archive with its published checksum.

    Raises:
        UserError: it is another file.
    """
    print(f"checking the md5 of {archive}", flush=True)
    if (found := checksum(archive, "md5")) != md5[archive.name]:
        raise UserError(
            f"{archive} has md5 {found}, expected {md5[archive.name]}: it is truncated or not the official one"
        )


def unpack_classes(archive: Path, target: Path) -> None:
    """Unpack the tar of one tar per class; ``train/`` appears when all of them are there.

    Raises:
        UserError: an archive is damaged, or the disk is full.
    """
    staging = target / ".train.unpacking"
    staging.mkdir(parents=True, exist_ok=True)
    with tarfile.open(archive) as outer:
        members = [member for member in outer.getmembers() if member.isfile() and member.name.endswith(".tar")]
        progress = Progress(len(members), title=archive.name, unit="classes", speed_unit="classes")
        for member in members:
            wnid = Path(member.name).stem
            if not (staging / wnid).is_dir():
                one = staging / f".{wnid}.tar"
                with open_member(outer, member) as source, atomic_path(one) as part, part.open("wb") as copy:
                    shutil.copyfileobj(source, copy)
                unpack_all(one, staging, wnid)
                one.unlink()
            progress.step()
        progress.close()
    staging.replace(target / "train")
