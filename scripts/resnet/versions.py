"""The version of each kind of work, by which results know the code that made them; no torch.

Raise one when an edit changes the numbers of that work: what has been made is then made again, as the version is a
parameter of the work's rules, and checkpoints of trainings are moved aside, as it is in their fingerprint. Nothing else
in the source files causes that. ``tests/test_golden.py`` fails when numbers have changed, and says which one to raise.

What a training reads from files is in its fingerprint by their checksums; versions stand for what no checksum covers.
"""

VERSIONS = {
    # Data sets as they are described, and the demo's own images. A description carries its version.
    "prepare_cifar10": 1,
    "prepare_imagenet": 2,
    "prepare_detection": 3,
    # From an image file of ImageNet, VOC or COCO to the pixels of a crop or of a whole view.
    "decode": 3,
    "measure_image_statistics": 1,
    "measure_responses": 1,
    "measure_layer_signals": 1,
    "measure_bn_statistics": 2,
    # Everything from a training set to weights and the errors in metrics.csv.
    "train_cifar10": 1,
    "train_imagenet": 1,
    "train_detector": 1,
    "import_weights": 1,
    # From weights to probabilities and errors; the ensemble's too.
    "evaluate_imagenet": 2,
    "detect_objects": 1,
    # Box refinement, several scales, several detectors.
    "improve_detections": 1,
    "evaluate_detections": 1,
    # The demo's digits anywhere on photographs; boxes as they are read.
    "prepare_boxes": 1,
    "train_localiser": 1,
    # From weights to boxes of classes, proposed and refined, and their errors.
    "localise": 1,
}


def versions(*kinds: str) -> dict[str, int]:
    """Return the versions of some kinds of work."""
    return {kind: VERSIONS[kind] for kind in kinds}
