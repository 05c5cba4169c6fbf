"""Seconds and memory of reading COCO's annotations: this project's reader against json.load, which checks nothing.

The file is synthetic, of train2014's size: 82,783 images and 604,907 objects with outlines, 0.4 GB. (It leaves out
that every image is decoded once, which follows.) Each reader is a process of its own; they take turns.

    PYTHONPATH=scripts python benchmarks/coco_reading.py
"""

import argparse
import json
import multiprocessing
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from resnet.data.coco import read_instances

IMAGES, OBJECTS, CLASSES, WIDTH, HEIGHT = 82783, 604907, 80, 640, 480


def write(folder: Path) -> Path:
    """Write the file, and empty images that it describes."""
    random, path = np.random.RandomState(0), folder / "annotations/instances_train2014.json"
    images = [
        {"license": 1, "file_name": f"COCO_train2014_{number:012}.jpg", "coco_url": f"http://example.org/{number}.jpg"}
        | {"height": HEIGHT, "width": WIDTH, "date_captured": "2013-11-15 00:00:00", "id": number}
        for number in range(1, IMAGES + 1)
    ]
    (folder / "train2014").mkdir(parents=True, exist_ok=True)
    for image in images:
        (folder / "train2014" / image["file_name"]).touch()
    path.parent.mkdir(exist_ok=True)
    corners = random.uniform(8, 200, (OBJECTS, 4)).round(2)
    categories = [{"supercategory": "thing", "id": n, "name": f"class {n}"} for n in range(1, CLASSES + 1)]
    with path.open("w") as file:
        file.write(f'{{"info": {{}}, "images": {json.dumps(images)}, "licenses": [], "annotations": [')
        for number, corner in enumerate(corners.tolist(), start=1):
            # Real outlines have some thirty points each.
            outline = random.uniform(0, 400, 2 * random.poisson(33)).round(2).tolist()
            entry = {"segmentation": [outline], "area": corner[2] * corner[3], "iscrowd": 0, "bbox": corner}
            entry |= {"image_id": number % IMAGES + 1, "category_id": number % CLASSES + 1, "id": number}
            file.write((", " if number > 1 else "") + json.dumps(entry))
        file.write(f'], "categories": {json.dumps(categories)}}}')
    return path


def by_json(path: Path, _images: Path) -> int:
    """Return the number of objects, read by Python's own library."""
    with path.open() as file:
        return len(json.load(file)["annotations"])


def by_us(path: Path, images: Path) -> int:
    """Return the number of objects, read and checked."""
    return len(read_instances(path, images)["annotations"])


def measured(read: Callable[[Path, Path], int], *files: Path) -> tuple[float, float]:
    """Return the seconds that a reader takes, and the largest memory of this process in GB."""
    start = time.perf_counter()
    assert read(*files) == OBJECTS
    seconds = time.perf_counter() - start
    # Of this process alone: ru_maxrss begins with its parent's.
    status = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    kilobytes = next(line.split()[1] for line in status if line.startswith("VmHWM"))
    return seconds, int(kilobytes) * 1024 / 1e9


def apart(read: Callable[[Path, Path], int], *files: Path) -> tuple[float, float]:
    """Measure a reader in a process of its own."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(measured, read, *files).result()


def main() -> None:
    """Measure both and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("data/benchmark/coco"), help="where the file is written")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each reader; medians are printed")
    arguments = parser.parse_args()

    # With torch, which the readers would otherwise import, too: half a gigabyte.
    from resnet.provenance import processor_name

    path = write(arguments.folder)
    print(f"{processor_name()}; {path.stat().st_size / 1e6:.0f} MB", flush=True)
    files, readers = (path, arguments.folder / "train2014"), {"json.load": by_json, "ours": by_us}
    turns = [{name: apart(read, *files) for name, read in readers.items()} for _ in range(arguments.rounds)]
    for name in readers:
        seconds = sorted(turn[name][0] for turn in turns)
        memory = max(turn[name][1] for turn in turns)
        print(f"{name}: {statistics.median(seconds):.1f} s ({seconds[0]:.1f} to {seconds[-1]:.1f}), {memory:.2f} GB")
    ratios = sorted(turn["ours"][0] / turn["json.load"][0] for turn in turns)
    print(f"ours / json.load: {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f}) of the time")


if __name__ == "__main__":
    main()
