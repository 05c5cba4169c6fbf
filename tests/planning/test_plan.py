"""What targets would cost: jobs of a dry run, counted networks, measured and fitted steps, what is printed."""

import dataclasses
import re
import shutil

import pytest
import torch
import yaml
from conftest import CPU, run_program

from resnet.data import digits, handwriting, scattered, scenes, scenes_det
from resnet.files import write_json
from resnet.planning import plans, steps
from resnet.planning.plans import Job, Plan, read_jobs
from resnet.planning.steps import Rates, fit, network_of, step_of
from resnet.provenance import processor_name
from resnet.settings import CifarRecipe, DetectorRecipe, Hardware, ImageNetRecipe, LocaliserRecipe, to_flags

SMALL = CifarRecipe(model="resnet-8", image_size=8, padding=1, batch_size=16, iterations=100, lr_drops=(50,))


def training(recipe, rule="train_cifar10", data="digits", gpus=0, **options):
    words = ["--data", f"data/{data}/dataset.json", "--run-folder", f"runs/{recipe.model}/seed0"]
    for name, value in options.items():
        words += [f"--{name}", value]
    return Job(rule, [*words, *to_flags(recipe).split(), *to_flags(Hardware()).split()], "weights.pt", gpus)


def test_jobs_of_a_dry_run_are_read_with_their_command_lines_and_gpus():
    text = """
[Wed Nov 25 19:21:59 2026]
rule train_cifar10:
    input: data/digits/dataset.json
    output: results/runs/a/config.yaml, results/runs/a/weights.pt
    resources: tmpdir=/tmp, runtime=1440, gpu=2, mem_mb=8000
Shell command: ln -sf x y; exec torchrun --n 2 scripts/train_cifar10.py --run-folder 'a b' --lr 0.1 >> log 2>&1

[Wed Nov 25 19:21:59 2026]
localrule all:
    input: results/fig1.pdf

localrule download_archive:
    output: data/downloads/0123-cifar-10-binary.tar.gz
    resources: tmpdir=/tmp
Shell command: python scripts/download_archive.py --url u --output data/downloads/cifar-10-binary.tar.gz > log 2>&1

localrule download_archive:
    output: data/downloads/annotations_trainval2014.zip
Shell command: python scripts/download_archive.py --url u --output data/downloads/annotations_trainval2014.zip
"""
    first, *others = read_jobs(text)
    assert (first.rule, first.output, first.gpus) == ("train_cifar10", "results/runs/a/config.yaml", 2)
    assert (first.option("--run-folder"), first.option("--lr"), first.option("--none", "x")) == ("a b", "0.1", "x")
    assert [(job.rule, job.gpus) for job in others] == [("download_archive", 0)] * 2
    downloads = [estimate.download for estimate in Plan(others, 3).estimates(Rates({}))]
    assert downloads == pytest.approx([0.17e9, 0.25e9])


def test_the_embedded_data_are_as_many_as_planned():
    classified, drawn = handwriting.IMAGES, scenes.IMAGES
    assert plans.IMAGES["digits"] == (digits.TRAINING_IMAGES, len(digits.load_greys()[0]) - digits.TRAINING_IMAGES)
    assert plans.IMAGES["handwriting"] == (classified["train"], classified["val"] + classified["test"])
    assert plans.IMAGES["scattered"] == (scattered.IMAGES["train"], scattered.IMAGES["val"])
    assert plans.IMAGES["scenes-voc"] == (drawn["voc2007_trainval"] + drawn["voc2012_train"], drawn["voc2007_test"])
    of_det = scenes_det.IMAGES
    assert plans.IMAGES["scenes-det"] == (of_det["train"] + of_det["val1"], of_det["val2"])
    assert plans.IMAGES["scenes-coco"] == (drawn["coco_train"], drawn["coco_val"])


def test_networks_are_counted_as_in_table_1():
    step = step_of(ImageNetRecipe(model="resnet-50"))
    assert network_of(step).flops == pytest.approx(3.86e9, rel=0.01)
    assert network_of(step).parameters == pytest.approx(25.5e6, rel=0.01)
    assert step.costs == (3 * 256 * network_of(step).flops, 3 * network_of(step).layers)
    detector = network_of(step_of(DetectorRecipe(model="resnet-101")))
    assert detector.flops > 20 * network_of(step_of(ImageNetRecipe(model="resnet-101"))).flops


def test_a_localiser_costs_what_its_network_does_and_its_tests_what_they_look_at():
    net = ImageNetRecipe.of_network(model="resnet-50", width=0.25, image_size=64, batch_size=8)
    classifier = training(net, "train_imagenet", "handwriting")
    recipe = LocaliserRecipe(model="resnet-50", proposals=5, batch_size=8, iterations=100, lr_drops=(50,))
    localiser = training(recipe, "train_localiser", "scattered", classifier="runs/resnet-50/seed0")
    localiser.words[localiser.words.index("--run-folder") + 1] = "runs/rpn/seed0"
    common = ["--data", "data/scattered/dataset.json", "--run-folder", "runs/rpn/seed0"]
    center = ["--protocol", "center", "--shorter-sides", "64"]
    jobs = [
        Job("propose_boxes", [*common, *center], "a", 0),
        Job("propose_boxes", [*common, *center, "--split", "train"], "b", 0),
        Job("refine_boxes", [*common, "--proposals", "x", "y"], "c", 0),
    ]
    plan = Plan([classifier, localiser, *jobs], 0)
    assert plan.step("runs/rpn/seed0") == plan.step("runs/resnet-50/seed0")
    rates = Rates(dict.fromkeys(plan.steps, 1.0))
    _, trained, *tested = [one.seconds - plans.decoding(0, 64) for one in plan.estimates(rates)]
    assert trained > 100
    one, train, refined = tested
    assert train == pytest.approx(8 * one)
    # Six classes, and five proposals of each of two networks.
    assert refined > 40 * one


def test_a_step_is_the_same_whatever_does_not_change_how_long_it_takes():
    assert step_of(SMALL) == step_of(dataclasses.replace(SMALL, seed=3, lr=0.5, iterations=7, lr_drops=()))
    assert step_of(SMALL) != step_of(dataclasses.replace(SMALL, batch_size=32))
    assert step_of(SMALL, processes=4).batch == 4


def test_a_rate_and_a_cost_of_each_layer_are_fitted_and_never_negative():
    nets = [step_of(dataclasses.replace(SMALL, model=model)) for model in ("plain-20", "plain-56", "resnet-110")]
    a, b = fit({step: 1e-10 * step.costs[0] + 1e-4 * step.costs[1] for step in nets})
    assert (a, b) == (pytest.approx(1e-10), pytest.approx(1e-4))
    assert min(fit({nets[0]: 1.0, nets[2]: 0.5})) >= 0


def test_a_step_that_would_take_long_is_measured_with_fewer_images_or_not_at_all():
    quick, slow = step_of(SMALL), step_of(ImageNetRecipe(model="resnet-50"))
    detector = step_of(DetectorRecipe(model="resnet-101"))
    chosen = steps.choose({quick, slow}, "cpu")
    assert chosen[0] == quick
    assert 1 <= chosen[1].batch < slow.batch
    assert chosen[1].costs[0] <= steps.SLOWEST_STEP * steps.GUESSED_RATE["cpu"]
    assert steps.choose({detector}, "cpu") == []
    assert steps.choose({detector}, "cuda") == [detector]
    many = {step_of(dataclasses.replace(SMALL, model=f"resnet-{6 * n + 2}")) for n in range(1, 9)}
    assert [step.recipe.model for step in steps.choose(many, "cpu")] == [
        "resnet-8",
        "resnet-20",
        "resnet-38",
        "resnet-50",
    ]


def test_a_training_takes_its_steps_and_evaluations():
    job = training(dataclasses.replace(SMALL, evaluation_interval=50))
    step = step_of(SMALL)
    found = Plan([job], 3).estimates(Rates({step: 0.1}))[0]
    # Two evaluations of 150 + 297 images, forward only.
    assert found.seconds == pytest.approx(3 + 100 * 0.1 + 2 * (150 + 297) / 16 * 0.1 / 3)
    assert found.known == "measured now"
    assert found.disk == 12 * network_of(step).parameters
    earlier = Plan([job], 3).estimates(Rates({step: 0.1}, [step]))[0]
    assert (earlier.seconds, earlier.known) == (13, "measured in earlier runs")
    other = Plan([training(dataclasses.replace(SMALL, model="resnet-20"))], 3).estimates(Rates({step: 0.1}))[0]
    assert other.known == "fitted to measured steps"
    assert other.seconds > earlier.seconds


def test_processes_share_a_batch_and_take_a_gpu_each():
    job = training(ImageNetRecipe(model="resnet-50"), "train_imagenet", "imagenet", gpus=8)
    plan = Plan([job], 3)
    assert {step.batch for step in plan.steps} == {32}
    assert plan.estimates(Rates(dict.fromkeys(plan.steps, 0.1)))[0].gpus == 8


def test_a_detector_is_that_of_its_classifier():
    narrow = ImageNetRecipe(model="vgg-16", width=0.125, image_size=64, scale_min=64, test_shorter_side=64)
    classifier = training(narrow, "train_imagenet", "handwriting")
    recipe = DetectorRecipe(model="vgg-16")
    detector = training(recipe, "train_detector", "scenes-voc", classifier=classifier.option("--run-folder"))
    detector.words[detector.words.index("--run-folder") + 1] = "runs/detector/seed0"
    shapes = {
        step.classifier for step in Plan([classifier, detector], 3).steps if isinstance(step.recipe, DetectorRecipe)
    }
    assert shapes == {(0.125, 64)}


def test_tests_are_computed_at_the_rates_of_training_steps():
    recipe = ImageNetRecipe(model="resnet-18-A")
    trained = training(recipe, "train_imagenet", "imagenet")
    words = ["--data", "data/imagenet/dataset.json", "--run-folder", trained.option("--run-folder"), "--protocols"]
    tests = [
        Job(
            "evaluate_imagenet",
            [*words, *protocols, "--multiscale-shorter-sides", "224", "640", "--output", "x"],
            "x",
            0,
        )
        for protocols in (["center"], ["10crop"], ["multiscale"], ["10crop", "multiscale"])
    ]
    plan = Plan([trained, *tests], 3)
    rates = Rates(dict.fromkeys(plan.steps, 1.0))
    _, center, crops, multiscale, both = (one.seconds for one in plan.estimates(rates))
    assert center < crops < multiscale
    assert both == pytest.approx(crops + multiscale - plan.start)
    assert all("estimated" in one.known for one in plan.estimates(rates)[1:])


def test_responses_of_several_networks_are_measured_in_one_job():
    trained = training(SMALL)
    words = ["--data", "data/digits/dataset.json", "--run-folders"]
    jobs = [Job("measure_responses", [*words, *[trained.option("--run-folder")] * runs], "x", 0) for runs in (1, 3)]
    rates = Rates({step_of(SMALL): 0.1})
    _, one, three = (found.seconds for found in Plan([trained, *jobs], 3).estimates(rates))
    assert three - 3 == pytest.approx(3 * (one - 3))
    assert one > 3


def test_signals_take_the_updates_that_are_made_again():
    trained = training(SMALL)
    words = ["--data", "data/digits/dataset.json", "--image-statistics", "--run-folders"]
    words += [trained.option("--run-folder")] * 2 + ["--iterations", "0", "10", "30", "--output", "x"]
    rates = Rates({step_of(SMALL): 0.1})
    # Of 100 updates, the first eighth; and one at the end.
    found = Plan([trained, Job("measure_layer_signals", words, "x", 0)], 3).estimates(rates)[1]
    assert found.seconds == pytest.approx(3 + 2 * 12 * 0.1)


@pytest.mark.parametrize("recipe", [SMALL, DetectorRecipe(model="vgg-16", shorter_side=64, rois=4, anchor_sizes=(16,))])
def test_a_step_is_measured_on_noise(recipe, monkeypatch):
    monkeypatch.setattr(steps, "LEAST_SECONDS", 0)
    assert 0 < steps.measure_step(step_of(recipe, classifier=(0.05, 32)), CPU) < 10


def test_finished_runs_on_this_machine_are_made_use_of(tmp_path):
    run = tmp_path / "runs/demo/digits/resnet-8/seed0"
    run.mkdir(parents=True)
    (run / "config.yaml").write_text(yaml.safe_dump({"recipe": dataclasses.asdict(SMALL) | {"lr_drops": [50]}}))
    place = {"device": processor_name(), "threads": 1, "processes": 1}
    write_json(run / "environment.json", {"images_per_second": 160.0, "slices": [place]})
    shutil.copytree(run, run.with_name("seed1"))
    (run.with_name("seed1") / "environment.json").write_text("damaged")
    expected = {} if torch.cuda.is_available() else {step_of(SMALL): 0.1}
    assert steps.earlier_runs(tmp_path, Hardware()) == expected
    assert steps.earlier_runs(tmp_path, Hardware(threads=2)) == {}


@pytest.mark.slow
def test_the_program_prints_stages_and_what_it_all_comes_to(project, monkeypatch):
    """Steps are said to take a tenth of a second."""
    monkeypatch.chdir(project)
    monkeypatch.setattr(steps, "measure", lambda wanted, hardware: dict.fromkeys(wanted, 0.1))
    code, output = run_program("plan", "results/fig1.pdf", "--config", "scale=short", "hardware={device: cpu}")
    assert code == 0, output
    assert re.search(r"^train_cifar10 +2 +2\d\.\d min +0  measured now$", output, re.MULTILINE)
    assert "0.2 GB of downloads" in output
    code, output = run_program("plan", "results/fig99.pdf")
    assert code == 1
    assert "nothing makes results/fig99.pdf; did you mean results/fig" in output


def test_an_improved_test_looks_as_often_as_it_has_networks_sizes_and_refinement():
    def looks(*words):
        return plans.looks(Job("improve_detections", ["--run-folder", *words], "d.json", 0), 600)

    assert looks("a") == 1
    assert looks("a", "--box-refinement") == 2
    # At its own size for the proposals, then at half of it and at its own for the regions.
    assert looks("a", "b", "--box-refinement", "--shorter-sides", "300", "600") == pytest.approx(2 * (1 + 0.25 + 1) * 2)


def test_a_detector_that_starts_with_another_one_has_the_shape_of_its_classifier():
    classifier = ImageNetRecipe.of_network(model="resnet-50", width=0.125, image_size=64)
    first, second = (
        DetectorRecipe(model="resnet-50", experiment=experiment, starts_with=start, shorter_side=112, max_size=150)
        for experiment, start in (("coco", None), ("voc07", "coco/resnet-50"))
    )
    jobs = []
    for name, recipe, rule, option in (
        ("c", classifier, "train_imagenet", ()),
        ("coco", first, "train_detector", ("--classifier", "c")),
        ("voc", second, "train_detector", ("--detector", "coco")),
    ):
        words = ["--run-folder", name, *option, *to_flags(recipe).split(), *to_flags(Hardware()).split()]
        jobs.append(Job(rule, words, "weights.pt", 0))
    plan = Plan(jobs, 3)
    assert plan.step("voc") == plan.step("coco")
    assert plan.step("voc").classifier == (0.125, 64)
