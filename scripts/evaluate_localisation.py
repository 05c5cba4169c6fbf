"""Measure localisation errors: of the best box of the true class, and of five predicted classes (appendix C)."""

import argparse
from pathlib import Path

from resnet.errors import run_program
from resnet.files import read_arrays, write_json
from resnet.run_folder import RunFolder

IDENTITY = {"model": str, "seed": int, "stage": str, "source": str, "dataset": str}


def main() -> None:
    """Read the boxes and write what is measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--boxes", type=Path, required=True, help="boxes-val.npz: where the objects are")
    parser.add_argument("--results", type=Path, nargs="+", required=True, help="result.json of each run")
    parser.add_argument("--found", type=Path, nargs="+", required=True, help="npz of each: several are averaged")
    parser.add_argument("--protocol", required=True, help="how the proposals were made")
    parser.add_argument("--output", type=Path, required=True, help="JSON to write")
    arguments = parser.parse_args()

    # What takes long to import comes after the arguments, so that --help and a wrong one are answered at once.
    from resnet.data.located import Boxes
    from resnet.localisation.proposals import Proposals, localisation_errors, mean_of

    runs = [RunFolder.of(path).result(IDENTITY) for path in arguments.results]
    truth = read_arrays(arguments.boxes, Boxes)
    found = mean_of([read_arrays(path, Proposals) for path in arguments.found], arguments.found)
    several = {"model": "ensemble", "members": [str(path.parent) for path in arguments.results]}
    facts = {
        **{key: runs[0][key] for key in IDENTITY},
        **(several if len(runs) > 1 else {}),
        "protocol": arguments.protocol,
        "images": len(truth),
    }
    write_json(arguments.output, {**facts, **localisation_errors(truth, found)})


if __name__ == "__main__":
    run_program(main)
