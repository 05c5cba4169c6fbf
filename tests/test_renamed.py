"""Settings that had other names: earlier configurations are told the new ones, earlier runs stay what they were."""

import dataclasses

import pytest
import yaml
from conftest import ROOT

from resnet.config import load
from resnet.errors import UserError
from resnet.run_folder import RunFolder
from resnet.settings import CifarRecipe, DetectorRecipe, ImageNetRecipe, fingerprint, updated

VERSIONS = {"decode": 3, "train": 1}


@pytest.mark.parametrize(
    ("section", "changes", "message"),
    [
        ("cifar10", {"exceptions": {"plain-20": {"lr": 1}}}, "cifar10.exceptions is called overrides now"),
        ("imagenet", {"recipe": {"max_side": 480}}, "imagenet.recipe.max_side is called scale_max now"),
        ("detector", {"recipe": {"max_side": 900}}, "detector.recipe.max_side is called max_size now"),
        ("imagenet", {"recipe": {"colour": 0}}, "imagenet.recipe.colour is called pca_colour_std now"),
        (
            "imagenet",
            {"overrides": {"plain-18": {"test_side": 9}}},
            "plain-18.test_side is called test_shorter_side now",
        ),
        ("imagenet", {"multiscale_sides": [64]}, "imagenet.multiscale_sides is called multiscale_shorter_sides now"),
        ("detector", {"statistics": {"side": 64}}, "detector.statistics is called bn_statistics now"),
        ("detector", {"bn_statistics": {"side": 64}}, "detector.bn_statistics.side is called size now"),
        ("detector", {"recipe": {"proposals": 9}}, "detector.recipe.proposals is called rpn_post_nms_top_n_test now"),
    ],
)
def test_an_earlier_key_is_told_its_name_of_today(section, changes, message):
    config = yaml.safe_load((ROOT / "config.yaml").read_text()) | {section: changes}
    with pytest.raises(UserError) as error:
        load(config, ROOT / "workflow")
    assert str(error.value).startswith("config.yaml: ")
    assert str(error.value).endswith(message)


@pytest.mark.parametrize(
    ("recipe", "data", "expected"),
    [
        (CifarRecipe(), {"train.bin": "0"}, "b5cda57d1244cf2b31a408358add93146a4abee14ccf76c8a02ae8857387d290"),
        (
            ImageNetRecipe(scale_max=400, pca_colour_std=0.2),
            {"train.npz": "0", "image_statistics": "1"},
            "3b9edb9fa8f32687412866992ad15ad1b862f73576597d41bac5a26982b334cc",
        ),
        (
            DetectorRecipe(rpn_pre_nms_top_n_train=601, rpn_pre_nms_top_n_test=301, rpn_post_nms_top_n_test=60),
            {"weights": "0", "image_statistics": "1", "bn_statistics": "2"},
            "291144e6ad6d927ef3687a4bc3949656520f666bc1f4617fabdbcc87eacc0f5c",
        ),
    ],
)
def test_fingerprints_of_before_names_were_changed_still_fit(recipe, data, expected):
    assert fingerprint(recipe, data, VERSIONS) == expected


def test_what_was_added_since_is_in_the_fingerprint_where_it_differs():
    expected = fingerprint(DetectorRecipe(), {}, {})
    assert fingerprint(DetectorRecipe(rpn_pre_nms_top_n_test=6001), {}, {}) != expected
    assert fingerprint(DetectorRecipe(rpn_pre_nms_top_n_train=600), {}, {}) != expected


def test_recipes_of_earlier_runs_are_read(tmp_path):
    recipe = ImageNetRecipe(model="resnet-50", scale_min=224, scale_max=300, test_shorter_side=230, pca_colour_std=0.2)
    earlier = dataclasses.asdict(recipe)
    del earlier["branch_scale"]
    earlier |= {"min_side": earlier.pop("scale_min"), "max_side": earlier.pop("scale_max")}
    earlier |= {"test_side": earlier.pop("test_shorter_side"), "colour": earlier.pop("pca_colour_std")}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"recipe": {**earlier, "source": "torchvision (x.pth)"}}))
    assert RunFolder(tmp_path).recipe(ImageNetRecipe) == recipe
    assert RunFolder(tmp_path).source == "torchvision (x.pth)"
    with pytest.raises(UserError, match=r"config\.yaml has no shortcut: is it the config of another kind of run\?"):
        RunFolder(tmp_path).recipe(CifarRecipe)
    detector = {"side": 600, "max_side": 1000, "before_nms": 601, "training_proposals": 9, "proposals": 8}
    assert updated(detector, DetectorRecipe) == {
        "shorter_side": 600,
        "max_size": 1000,
        "rpn_pre_nms_top_n_train": 601,
        "rpn_pre_nms_top_n_test": 301,
        "rpn_post_nms_top_n_train": 9,
        "rpn_post_nms_top_n_test": 8,
        # What they could not set yet.
        "context": False,
        "starts_with": None,
    }
