"""Results know the code that made them: numbers that change without a raised version fail here."""

import json

import numpy as np
import pytest
from golden import FILE, KINDS, computed

from resnet.versions import VERSIONS

WRITE = "PYTHONPATH=scripts python tests/golden.py"
# Of the numbers' size. Processors round differently, by less than 1e-6 here, as networks train in float64; and two
# libraries that decode a JPEG may differ by a level here and there.
TOLERANCES = {"decode": 1e-3, "prepare_imagenet": 1e-3, "prepare_detection": 1e-3, "prepare_boxes": 1e-3}
TOLERANCE = 1e-5


def test_every_kind_of_work_has_golden_numbers():
    assert list(KINDS) == list(VERSIONS)
    assert list(json.loads(FILE.read_text())) == list(VERSIONS)


@pytest.mark.processor
@pytest.mark.parametrize("kind", KINDS)
def test_numbers_change_with_a_version_only(kind):
    kept = json.loads(FILE.read_text())[kind]
    assert kept["version"] == VERSIONS[kind], f"the version of {kind} is another; write its numbers: {WRITE}"
    found, expected = computed(kind), kept["numbers"]
    assert list(found) == list(expected), f"other numbers are computed than {FILE.name} has: raise {kind}, then {WRITE}"
    tolerance = TOLERANCES.get(kind, TOLERANCE)
    changed = [
        f"{name}: {found[name]}, not {numbers}"
        for name, numbers in expected.items()
        if not np.allclose(found[name], numbers, rtol=0, atol=tolerance * numbers[0])
    ]
    assert not changed, (
        f"the numbers of {kind} are others now. If that is meant, raise {kind} in scripts/resnet/versions.py, so that "
        f"what it has made is made again, and write the new ones: {WRITE}\n" + "\n".join(changed)
    )
