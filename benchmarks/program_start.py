"""How long a program takes that only imports what a training of a detector does: by itself, and as a fork of a server.

    python benchmarks/program_start.py

The demo's programs are such forks (``resnet.fork_server``). The two take turns; the ratio of each turn is what counts.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"
sys.path.insert(0, str(SCRIPTS))

from resnet import fork_server  # noqa: E402

PROGRAM = f"""
import sys
sys.path.insert(0, {str(SCRIPTS)!r})
from resnet.errors import run_program

def main():
    import resnet.detection.task

run_program(main)
"""


def seconds(program: Path, address: str) -> float:
    """Return how long a program takes, as a fork of the server at an address or without one."""
    started = time.perf_counter()
    subprocess.run([sys.executable, program], env={**os.environ, fork_server.FORK_SERVER: address}, check=True)
    return time.perf_counter() - started


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=10, help="turns (default: %(default)s)")
    turns = parser.parse_args().turns
    fork_server.start()
    address = os.environ[fork_server.FORK_SERVER]
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder, "program.py")
        program.write_text(PROGRAM, encoding="utf-8")
        # The first waits for the server's own imports, or reads files from disk.
        for place in ("", address):
            seconds(program, place)
        pairs = [(seconds(program, ""), seconds(program, address)) for _ in range(turns)]
    for name, values in zip(("by itself", "as a fork"), zip(*pairs, strict=True), strict=True):
        print(f"{name}: {statistics.median(values):.2f} s ({min(values):.2f}-{max(values):.2f})")
    ratios = [alone / fork for alone, fork in pairs]
    print(f"ratio: {statistics.median(ratios):.1f} ({min(ratios):.1f}-{max(ratios):.1f})")


if __name__ == "__main__":
    main()
