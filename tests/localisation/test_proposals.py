"""Localisation errors against a slow, obviously right version; predicted classes; ensembles."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resnet.classification.predictions import Predictions
from resnet.data.imagenet import Index
from resnet.data.located import Boxes
from resnet.errors import UserError
from resnet.files import write_arrays
from resnet.localisation.proposals import Proposals, classes_of, localisation_errors, mean_of, united


def overlap(a, b):
    """Intersection over union by counting unit squares, as the corners are whole numbers."""
    cells = [{(x, y) for x in range(box[0], box[2]) for y in range(box[1], box[3])} for box in (a, b)]
    return len(cells[0] & cells[1]) / len(cells[0] | cells[1])


def slow_errors(truth, classes, boxes):
    """The devkit's words: least error over the guesses, of which one must have class and any box right."""
    wrong_gt = wrong_top5 = wrong_class = 0
    for objects, own, places in zip(truth, classes, boxes, strict=True):
        right = [any(overlap(place, one) >= 0.5 for one in objects) for place in places]
        wrong_gt += not right[0]
        guesses = range(1, len(own))
        wrong_top5 += not any(own[j] == own[0] and right[j] for j in guesses)
        wrong_class += not any(own[j] == own[0] for j in guesses)
    return [100 * count / len(truth) for count in (wrong_gt, wrong_top5, wrong_class)]


corner = st.integers(0, 4)
box = st.tuples(corner, corner, st.integers(1, 4), st.integers(1, 4)).map(
    lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])
)
image = st.tuples(
    st.lists(box, min_size=1, max_size=3),
    st.lists(st.integers(0, 3), min_size=6, max_size=6),
    st.lists(box, min_size=6, max_size=6),
)


@settings(deadline=None, max_examples=50)
@given(st.lists(image, min_size=1, max_size=5))
def test_errors_are_those_of_a_slow_version(images):
    truth, classes, boxes = zip(*images, strict=True)
    counts = np.array([len(objects) for objects in truth])
    flat = np.array([one for objects in truth for one in objects], float)
    facts = Boxes(np.arange(len(truth)), np.full((len(truth), 2), 9), counts, flat)
    found = Proposals(np.array(classes), np.array(boxes, np.float32)[:, :, None], np.ones((len(truth), 6, 1)))
    assert list(localisation_errors(facts, found).values()) == pytest.approx(slow_errors(truth, classes, boxes))


def test_the_box_with_the_highest_score_counts_and_any_instance_is_right():
    facts = Boxes(np.array([0]), np.array([[9, 9]]), np.array([2]), np.array([[0, 0, 2, 2], [5, 5, 9, 9]], float))
    boxes = np.array([[[[0, 0, 9, 9], [5, 5, 9, 8], [0, 4, 2, 9]]]], np.float32)
    for scores, error in (([0.1, 0.5, 0.2], 0), ([0.9, 0.5, 0.2], 100)):
        found = Proposals(np.array([[3]]), boxes, np.array([[scores]]))
        assert localisation_errors(facts, found) == {"gt_class_error": error}
    with pytest.raises(UserError, match="1 images were tested, but 2 have boxes"):
        localisation_errors(Boxes(np.arange(2), np.ones((2, 2)), np.ones(2, int), np.ones((2, 4))), found)


def test_predicted_classes_are_the_five_likeliest_and_the_true_one_comes_first(tmp_path):
    index = Index(["a", "b", "c"], [6, 2, 0], [1, 1, 1])
    probabilities = np.random.RandomState(0).dirichlet(np.ones(7), (2, 4)).astype(np.float32)
    files = []
    for number in range(2):
        # With an image of the test set, which comes last.
        predictions = Predictions(np.array(["a", "b", "c", "t"]), np.array([6, 2, 0, -1]), probabilities[number])
        files.append(tmp_path / f"{number}.npz")
        write_arrays(files[-1], predictions)
    found = classes_of(index, np.array([2, 0]), files)
    mean = probabilities.astype(np.float64).mean(0)
    for row, image, label in zip(found, (2, 0), (0, 6), strict=True):
        assert row[0] == label
        assert row[1:].tolist() == sorted(range(7), key=lambda c: -mean[image, c])[:5]
    assert classes_of(index, np.array([1]), []).tolist() == [[2]]
    with pytest.raises(UserError, match="is of other images than those with boxes"):
        classes_of(Index(["a", "x", "c"], [6, 2, 0], [1, 1, 1]), np.array([0]), files[:1])


def test_an_ensemble_unites_proposals_and_averages_what_is_made_of_them(tmp_path):
    random = np.random.RandomState(0)
    several = [Proposals(np.array([[1, 2]]), random.rand(1, 2, 3, 4), random.rand(1, 2, 3)) for _ in range(2)]
    names = [tmp_path / "a", tmp_path / "b"]
    both = united(several, names)
    assert np.array_equal(both.boxes[:, :, 3:], several[1].boxes)
    assert np.array_equal(both.scores[:, :, :3], several[0].scores)
    mean = mean_of(several, names)
    assert np.allclose(mean.scores, (several[0].scores + several[1].scores) / 2)
    assert np.allclose(mean.boxes, (several[0].boxes + several[1].boxes) / 2)
    other = Proposals(np.array([[1, 3]]), several[0].boxes, several[0].scores)
    for unite, message in ((united, "are for different classes"), (mean_of, "are of different proposals")):
        with pytest.raises(UserError, match=message):
            unite([several[0], other], names)
