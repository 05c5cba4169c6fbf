"""Write the curves of runs for TensorBoard, which is not among the pins: pip install tensorboard.

    python scripts/export_tensorboard.py results/runs
    tensorboard --logdir results/runs

Each run folder with a metrics.csv gets a folder tensorboard/ with all of its curves; written again, it is replaced.
"""

import argparse
import shutil
from pathlib import Path

from resnet.errors import UserError, run_program
from resnet.files import read_rows

# Columns that say where a row belongs; the others are curves.
PLACE = {"iteration": int, "split": str}


def main() -> None:
    """Read the arguments and write.

    Raises:
        UserError: TensorBoard is not installed, or there are no runs.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("results/runs"), help="where the runs are")
    folder = parser.parse_args().folder
    files = sorted(folder.rglob("metrics.csv"))
    if not files:
        raise UserError(f"{folder} holds no run with a metrics.csv")
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise UserError("TensorBoard is not installed: pip install tensorboard") from None
    for file in files:
        target = file.with_name("tensorboard")
        shutil.rmtree(target, ignore_errors=True)
        with SummaryWriter(str(target)) as writer:
            for row in read_rows(file, PLACE):
                for name in row.keys() - PLACE.keys() - {"epoch"}:
                    if row[name]:
                        writer.add_scalar(f"{name}/{row['split']}", float(row[name]), row["iteration"])
    print(f"wrote the curves of {len(files)} runs below {folder}")


if __name__ == "__main__":
    run_program(main)
