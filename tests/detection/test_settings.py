"""The settings of the detectors: recipes, scales and what is laid over them."""

import argparse

import pytest
import yaml
from conftest import ROOT

from detection.conftest import tiny
from resnet.config import load
from resnet.errors import UserError
from resnet.settings import DetectorRecipe, add_arguments, from_arguments, to_flags


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "resnet-34-A"}, "model must be a VGG net, or a ResNet of 50 layers and more, not 'resnet-34-A'"),
        ({"model": "plain-34"}, "model must be a VGG net, or a ResNet of 50 layers and more, not 'plain-34'"),
        ({"model": "resnet-51"}, "unknown model 'resnet-51'"),
        ({"experiment": "voc2007"}, "experiment is 'voc2007'; it must be one of voc07, voc12, voc12-server, coco"),
        ({"engine": "mmdetection"}, "engine is 'mmdetection'; it must be one of torchvision, detectron2"),
        ({"pooling": "max"}, "pooling is 'max'; it must be one of pool, align"),
        ({"shorter_side": 0}, "shorter_side is 0; it must be a whole number, at least 1"),
        ({"rois": 0}, "rois is 0; it must be a whole number, at least 1"),
        ({"rpn_post_nms_top_n_test": 0}, "rpn_post_nms_top_n_test is 0; it must be a whole number, at least 1"),
        ({"evaluation_images": 0}, "evaluation_images is 0; it must be a whole number, at least 1"),
        ({"max_size": 599}, "max_size must be at least shorter_side (600), not 599"),
        ({"anchor_sizes": ()}, "anchor_sizes is (); it must be a list of whole numbers that is not empty"),
        ({"anchor_sizes": (0, 16)}, "anchor_sizes.0 is 0; it must be a whole number, at least 1"),
        ({"frozen_stages": 5}, "frozen_stages is 5; it must be a whole number, at least 0 and at most 4"),
        ({"dropout": 1.0}, "dropout is 1.0; it must be a number, at least 0 and below 1"),
        ({"ghost_batch_size": 1}, "ghost_batch_size is 1; it must be null"),
        ({"precision": "half"}, "precision is 'half'; it must be one of auto, float32, bf16"),
        ({"lr_drops": (9, 3)}, "lr_drops must increase"),
    ],
)
def test_wrong_recipes_are_named(changes, message):
    with pytest.raises(UserError) as error:
        DetectorRecipe(**changes)
    assert message in str(error.value)


def test_a_recipe_survives_the_command_line():
    recipe = tiny(model="vgg-16", anchor_sizes=(8, 20, 40), lr_drops=(), experiment="coco", precision="bf16")
    parser = argparse.ArgumentParser()
    add_arguments(parser, DetectorRecipe)
    assert from_arguments(DetectorRecipe, parser.parse_args(to_flags(recipe).split())) == recipe


@pytest.fixture
def config():
    return yaml.safe_load((ROOT / "config.yaml").read_text())


def test_the_paper_scale_is_the_defaults_of_the_recipe(config):
    loaded = load({**config, "scale": "paper"}, ROOT / "workflow")
    assert loaded.detector.recipe("voc07", "resnet-101", 0) == DetectorRecipe()


def test_exceptions_of_data_set_experiment_and_model_are_laid_over_each_other_in_this_order(config):
    config["detector"] = {
        "recipe": {"lr": 0.1, "rois": 1, "rpn_post_nms_top_n_test": 11, "rpn_pre_nms_top_n_train": 111},
        "overrides": {
            "resnet-101": {"lr": 0.4},
            "voc": {"lr": 0.2, "rois": 2, "rpn_post_nms_top_n_test": 22},
            "voc12": {"lr": 0.3, "rois": 3},
        },
    }
    part = load(config, ROOT / "workflow").detector

    def values(experiment, model):
        recipe = part.recipe(experiment, model, 5)
        assert (recipe.experiment, recipe.model, recipe.seed, recipe.engine) == (experiment, model, 5, "torchvision")
        return recipe.lr, recipe.rois, recipe.rpn_post_nms_top_n_test, recipe.rpn_pre_nms_top_n_train

    assert values("voc12", "resnet-101") == (0.4, 3, 22, 111)
    assert values("voc12", "vgg-16") == (0.3, 3, 22, 111)
    assert values("voc07", "vgg-16") == (0.2, 2, 22, 111)
    assert values("voc07", "resnet-101") == (0.4, 2, 22, 111)
    assert values("coco", "vgg-16") == (0.1, 1, 11, 111)
    assert values("coco", "resnet-101") == (0.4, 1, 11, 111)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seeds": {"resnet-152": [0]}, "weights": "trained"}, None),
        ({"seeds": {"vgg-19": [0]}}, "detector.seeds: vgg-19 starts with a network that is not in imagenet.seeds"),
        ({"seeds": {"resnet-34-A": [0]}}, "detector, voc07, resnet-34-A: model must be a VGG net, or a ResNet of 50"),
        (
            {"overrides": {"coco": {"shorter_side": 900}}},
            "detector, coco, vgg-16: max_size must be at least shorter_side (900)",
        ),
        ({"overrides": {"vgg-16": {"rios": 1}}}, "unknown key detector.overrides.vgg-16.rios; did you mean rois?"),
        ({"engine": "caffe"}, "detector.engine is 'caffe'; it must be one of torchvision, detectron2"),
        ({"recipe": {"ghost_batch_size": 1}}, "detector.recipe.ghost_batch_size is 1; it must be null"),
        ({"data": {"voc": "pascal"}}, "detector.data.voc is 'pascal'; it must be one of scenes-voc, voc"),
    ],
)
def test_wrong_settings_of_the_detectors_are_named(config, changes, message):
    config["detector"] = changes
    if message is None:
        assert load(config, ROOT / "workflow").detector.seeds["resnet-152"] == [0]
        return
    with pytest.raises(UserError) as error:
        load(config, ROOT / "workflow")
    assert message in str(error.value)


def test_published_weights_need_no_training_on_imagenet(config):
    config["detector"] = {"weights": "torchvision", "seeds": {"vgg-19": [0]}}
    assert load(config, ROOT / "workflow").detector.seeds["vgg-19"] == [0]
