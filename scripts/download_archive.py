"""Download an archive: resumed after an interruption, checked by its md5."""

import argparse
from pathlib import Path

from resnet.errors import run_program


def main() -> None:
    """Read the arguments and download."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True, help="where the archive is")
    parser.add_argument("--md5", required=True, help="the checksum that its publisher gives")
    parser.add_argument("--output", type=Path, required=True, help="where the archive goes")
    parser.add_argument("--hint", default="Check its url and md5", help="what to do when the checksum is wrong")
    arguments = parser.parse_args()

    # What takes long to import comes after the arguments, so that --help and a wrong one are answered at once.
    from resnet.data.download import download

    download(arguments.url, arguments.output, arguments.md5, hint=arguments.hint)


if __name__ == "__main__":
    run_program(main)
