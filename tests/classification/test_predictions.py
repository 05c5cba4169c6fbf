"""Predictions of networks, averaged and written for the server."""

import dataclasses

import numpy as np
import pytest

from resnet.classification.predictions import Predictions, average, write_submission
from resnet.errors import UserError
from resnet.files import read_arrays, write_arrays


def test_an_ensemble_is_the_mean_and_refuses_other_images(tmp_path):
    paths, labels = np.array(["a", "b", "t"]), np.array([0, 5, -1])
    generator = np.random.RandomState(0)
    members = [Predictions(paths, labels, generator.rand(3, 6).astype(np.float32)) for _ in range(3)]
    for number, member in enumerate(members):
        write_arrays(tmp_path / f"{number}.npz", member)
    found = average([tmp_path / f"{number}.npz" for number in range(3)])
    np.testing.assert_allclose(found.probabilities, np.mean([m.probabilities for m in members], 0), rtol=1e-6)
    order = np.argsort(-found.probabilities, 1)
    top1 = np.mean([order[place, 0] != labels[place] for place in range(2)])
    assert found.errors()["top1_error"] == pytest.approx(100 * top1)
    assert write_submission(tmp_path / "s.txt", found, (10, 20, 30, 40, 50, 60)) == 1
    assert (tmp_path / "s.txt").read_text().split() == [str(10 * (label + 1)) for label in order[2, :5]]
    write_arrays(tmp_path / "3.npz", dataclasses.replace(members[0], paths=np.array(["a", "c", "t"])))
    with pytest.raises(UserError, match="are of different images or classes"):
        average([tmp_path / "0.npz", tmp_path / "3.npz"])
    (tmp_path / "0.npz").write_bytes(b"PK broken")
    with pytest.raises(UserError, match="is damaged"):
        read_arrays(tmp_path / "0.npz", Predictions)
