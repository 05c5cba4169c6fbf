"""What is planned, and what a job is given, without running it."""

import re

import pytest
import yaml
from conftest import ROOT, snakemake

from workflow.conftest import RESNET_8, TINY, add_artefacts, configure, executed

# Each starts Snakemake, which takes 2 s before it does anything.
pytestmark = pytest.mark.slow


def test_paper_scale_plans_the_papers_runs(project):
    code, output = snakemake(project, "-n", "--config", "scale=paper", "data={imagenet: {folder: /imagenet}}")
    assert code == 0, output
    assert executed(output, "train_cifar10") == 15
    assert executed(output, "train_imagenet") == 11
    assert executed(output, "measure_bn_statistics") == 1
    assert executed(output, "train_detector") == 6, "without the images of VOC 2012 test, nothing for its server"
    assert executed(output, "download_archive") == 7


@pytest.mark.parametrize(
    ("changes", "targets", "trained"),
    [
        ({"scale": "paper"}, ["cifar10"], {"cifar10": 15}),
        ({"scale": "paper", "detector": {"weights": "torchvision"}}, [], {"cifar10": 15, "detector": 6}),
        ({"sections": ["imagenet"]}, ["detection"], {"imagenet": 2, "detector": 8}),
    ],
)
def test_a_section_needs_no_data_of_the_others_and_ends_with_a_report(project, changes, targets, trained):
    code, output = snakemake(project, "-n", *configure(project, changes), "--", *targets)
    assert code == 0, output
    assert dict.fromkeys(("cifar10", "imagenet", "detector"), 0) | trained == {
        name: executed(output, f"train_{name}") for name in ("cifar10", "imagenet", "detector")
    }
    suffix = "".join(f"-{section}" for section in targets)
    assert re.search(rf"output: results/report{suffix}\.html(,|$)", output, re.MULTILINE)
    assert re.search(rf"output: results/claims{suffix}\.csv$", output, re.MULTILINE)
    of_classifiers = {"cifar10": "prepare_cifar10", "imagenet": "prepare_imagenet"}
    real = changes.get("scale") == "paper"
    assert [executed(output, rule) for rule in of_classifiers.values()] == [int(real), 0]
    assert executed(output, "prepare_coco") == int(real and "detector" in trained)
    assert output.count("config.yaml: section imagenet is left out: ILSVRC2012 needs a registration") == int(real)


def test_detectors_of_published_weights_need_no_imagenet(project):
    changes = {"scale": "paper", "detector": {"weights": "torchvision"}}
    code, output = snakemake(project, "-n", *configure(project, changes), "--", "results/table7.csv")
    assert code == 0, output
    assert executed(output, "train_detector") == 4
    assert executed(output, "download_weights") == executed(output, "import_weights") == 2
    for rule in ("train_imagenet", "measure_bn_statistics", "measure_image_statistics", "prepare_imagenet"):
        assert executed(output, rule) == 0, rule


def test_the_engine_has_a_folder_of_its_own(project):
    changes = TINY | {"detector": TINY["detector"] | {"engine": "detectron2"}}
    code, output = snakemake(project, "-n", *configure(project, changes), "--", "results/table8.csv")
    assert code == 0, output
    assert "results/runs/demo/detector-detectron2-trained/coco/resnet-101/seed0/weights.pt" in output


# What the folders of tests add for the multi-scale one.
SCALES = ("", "-multiscale")


def test_the_appendix_is_made_where_it_is_asked_for(project):
    """Its tables, of detectors that section 4.3 has and of its own, with the improvements of each row's test."""
    code, output = snakemake(project, "-n", "-p", "--config", "sections=[imagenet,cifar10,detection,appendix]")
    assert code == 0, output
    [command] = re.findall("tabulate_evaluations.py .*/table9.yaml (.*)", output)
    folder = "results/runs/demo/detector-torchvision-trained/coco"
    names = [word.removeprefix(f"{folder}/") for word in command.split() if word.startswith(folder)]
    context = [f"resnet-101+context/seed{seed}/evaluation-refined{more}" for seed in range(3) for more in SCALES]
    assert names == [
        f"{name}/average_precision.json"
        for name in (
            "vgg-16/seed0/evaluation",
            "resnet-101/seed0/evaluation",
            "resnet-101/seed0/evaluation-refined",
            *context,
            "ensemble/evaluation-refined-multiscale",
        )
    ]
    commands = re.findall("detect_objects.py (.*) --device", output)
    [refined] = [line for line in commands if "/coco/resnet-101/seed0/evaluation-refined/" in line]
    assert "--box-refinement" in refined
    assert "--shorter-sides" not in refined
    [ensemble] = [line for line in commands if "/coco/ensemble/" in line]
    assert re.search("seed0 .*seed1 .*seed2 --box-refinement --shorter-sides 40 ", ensemble)
    # From COCO to VOC.
    started = re.findall(r"train_detector.py (.*) --starts-with coco/resnet-101\+context", output)
    assert len(started) == 3
    assert all("--detector" in line and "coco/resnet-101+context/seed0 " in line for line in started)
    assert "voc12-server/resnet-101+coco/seed0/server-refined-multiscale/comp4_det_test.tar.gz" in output
    for table in ("table10", "table11"):
        [command] = re.findall(f"tabulate_class_columns.py .*/{table}.yaml (.*)", output)
        assert "/resnet-101+coco/seed0/evaluation-refined-multiscale/classes.csv" in command
    [command] = re.findall("render_report.py (.*)", output)
    assert {f"results/table{number}.json" for number in range(9, 15)} < set(command.split())
    # Table 12 has a data set of its own, on which section 4.3 trains nothing.
    assert executed(output, "prepare_scenes_det") == 1
    assert len(re.findall(r"train_detector.py --data data/scenes-det/dataset.json .* --experiment det ", output)) == 2
    [command] = re.findall("tabulate_evaluations.py .*/table12.yaml (.*)", output)
    for name in ("resnet-101+context/seed0", "resnet-101+context/seed1", "ensemble"):
        assert f"/det/{name}/evaluation-refined-multiscale/average_precision.json" in command
    folder, runs = "results/runs/demo/localiser", ("resnet-50/seed0", "resnet-101/seed0")
    [command] = re.findall("tabulate_localisation.py .*/table13.yaml (.*)", output)
    assert [word.removeprefix(f"{folder}/") for word in command.split() if word.startswith(folder)] == [
        f"rpn/{runs[1]}/evaluation/center.json", f"rpn/{runs[1]}/evaluation/dense.json",
        f"rcnn/{runs[1]}/evaluation/dense.json", "ensemble/dense.json",
    ]  # fmt: skip
    # R-CNN is trained on its own proposals; in the ensemble it sees those of all, for the classes of all.
    [command] = re.findall(f"train_localiser.py (.* --run-folder {folder}/rcnn/{runs[0]} .*)", output)
    assert f"--regions {folder}/rpn/{runs[0]}/boxes/train-dense.npz" in command
    [command] = re.findall(f"refine_boxes.py (.* --output {folder}/rcnn/{runs[0]}/boxes/ensemble-dense.npz .*)", output)
    assert f"--proposals {' '.join(f'{folder}/rpn/{run}/boxes/ensemble-dense.npz' for run in runs)} " in command
    [command] = re.findall(f"propose_boxes.py (.* --output {folder}/rpn/{runs[0]}/boxes/ensemble-dense.npz .*)", output)
    predicted = [f"results/runs/demo/handwriting/{run}/localisation/multiscale.npz" for run in runs]
    assert f"--predictions {' '.join(predicted)} " in command
    assert executed(output, "train_localiser") == 4


def test_a_detector_uses_as_many_processes_and_parts_as_its_batch_allows(project):
    changes = {"scale": "paper", "hardware": {"processes": 8, "accumulate": 2}, "detector": {"weights": "torchvision"}}
    folder = "results/runs/paper/detector-torchvision-torchvision/{}/vgg-16/seed0/weights.pt"
    arguments = configure(project, changes)
    for experiment, launcher in (("voc07", "python"), ("coco", "torchrun .* --nproc-per-node 8 .*")):
        code, output = snakemake(project, "-n", "-p", *arguments, "--", folder.format(experiment))
        assert code == 0, output
        assert re.search(rf"exec {launcher} scripts/train_detector\.py", output)
        assert "--accumulate 1 >" in output


def test_a_cluster_is_asked_for_what_the_rules_compute(project):
    """Whatever this machine has; on the cluster a job that asks for a GPU fails where there is none."""
    with (project / "workflow/Snakefile").open("a") as file:
        file.write('\nprint("local:", *sorted(workflow._localrules))\n')
    changes = {"scale": "paper", "hardware": {"processes": 8}, "data": {"imagenet": {"folder": "/imagenet"}}}
    arguments = ("-n", "-p", "--workflow-profile", "workflow/profiles/slurm", *configure(project, changes))
    code, output = snakemake(project, *arguments)
    assert code == 0, output
    jobs = {}
    for block in re.split(r"\n(?=rule )", output):
        jobs.setdefault(block.split(":")[0].removeprefix("rule "), block)
    for name, gpus, memory in (
        ("train_cifar10", 1, 8000),
        ("train_imagenet", 8, 128000),
        ("evaluate_imagenet", 1, 8000),
        ("measure_responses", 1, 4000),
    ):
        resources = re.search("resources: (.*)", jobs[name])[1]
        assert re.findall("gpu=([0-9]+)|mem_mb=([0-9]+)", resources) == [("", str(memory)), (str(gpus), "")], resources
        assert int(re.search("runtime=([0-9]+)", resources)[1]) <= 24 * 60
    assert "--device cuda" in jobs["train_imagenet"]
    assert "exec torchrun --standalone --nproc-per-node 8 " in jobs["train_imagenet"]
    local = set(re.search("^local: (.*)", output, re.MULTILINE)[1].split())
    work = {"train_", "measure_", "evaluate_imagenet", "detect_", "prepare_imagenet", "prepare_voc", "prepare_coco"}
    assert {name for name in jobs if not name.startswith(tuple(work)) and "_" in name} <= local
    assert not {name for name in local if name.startswith(tuple(work - {"measure_"}))}
    arguments += ("--profile", "workflow/profiles/two-nodes", "--forcerun", "train_imagenet")
    code, output = snakemake(project, *arguments, "--", "results/runs/paper/imagenet/resnet-50/seed0/weights.pt")
    assert code == 0, output
    assert "exec srun --nodes=2 --ntasks-per-node=8 " in output
    assert re.search("resources: .*mem_mb=128000.* gpu=16, .*mpi=srun, nodes=2, tasks_per_node=8", output)


def test_executors_that_call_gpus_by_another_name_are_asked_for_them_by_every_rule_that_needs_one():
    text = "".join(path.read_text() for path in (ROOT / "workflow/rules").glob("*.smk"))
    blocks = [block for block in re.split(r"^rule ", text, flags=re.MULTILINE) if "gpu=" in block]
    assert all("gpu_percent=" in block for block in blocks), "which limits what runs at once on a machine of one's own"
    rules = {block.split(":")[0] for block in blocks}
    rules |= {name for base, name in re.findall(r"^use rule (\w+) as (\w+)", text, re.MULTILINE) if base in rules}
    assert "train_detector" in rules
    for executor in ("aws-batch", "googlebatch", "htcondor"):
        profile = yaml.safe_load((ROOT / f"workflow/profiles/{executor}/config.yaml").read_text())
        assert set(profile["set-resources"]) == rules, executor


def test_a_typo_is_one_error_that_names_the_key(project):
    code, output = snakemake(project, "-n", "--config", "sclae=paper")
    assert code != 0
    assert "config.yaml: unknown key sclae; did you mean scale?" in output
    assert "Traceback" not in output


def test_a_key_that_is_given_twice_is_an_error_in_every_configuration_file(project):
    (project / "mine.yaml").write_text("cifar10: {recipe: {lr: 0.5}}\ncifar10: {}\n")
    code, output = snakemake(project, "-n", "--configfile", "mine.yaml")
    assert code != 0
    assert f"{project}/mine.yaml: key cifar10 is there twice (lines 1 and 2); put both into one" in output
    with (project / "config.yaml").open("a") as file:
        file.write("detector: {engine: detectron2}\n")
    code, output = snakemake(project, "-n")
    assert code != 0
    assert re.search(r"config.yaml: key detector is there twice \(lines \d+ and \d+\)", output)


def test_every_key_can_be_given_on_the_command_line(project):
    config = yaml.safe_load((project / "config.yaml").read_text())
    config["data"]["cifar10"]["folder"] = "/nowhere"
    (project / "config.yaml").write_text(yaml.safe_dump(config))
    values = [
        "data={cifar10: {folder: null}, coco: {folder: /coco, year: 2017}}",
        "hardware={compile: true, device: cuda, trainings_per_gpu: 3}",
        "cifar10={recipe: {lr: 1e-3}}",
    ]
    target = "results/runs/short/cifar10/resnet-20/seed0/weights.pt"
    code, output = snakemake(project, "-n", "-p", "--config", "scale=short", *values, "--", target)
    assert code == 0, output
    assert executed(output, "download_archive") == 1
    assert "--lr 0.001 " in output
    assert "--compile true " in output
    # Three times what a training asks for fits into what the profile of every plain call allows, but not four times.
    assert re.search("resources: .*gpu=1, gpu_percent=33", output)
    profile = yaml.safe_load((project / "workflow/profiles/default/config.yaml").read_text())
    assert profile["resources"] == ["gpu_percent=100"]


def test_networks_without_seeds_are_left_out_of_everything(project):
    changes = {
        "cifar10": {"seeds": {"resnet-1202": []}},
        "imagenet": {"seeds": {"resnet-101": []}},
        "detector": {"seeds": {"vgg-16": []}},
        "data": {"coco": {"folder": "/coco"}},
    }
    code, output = snakemake(project, "-n", *configure(project, changes))
    assert code == 0, output
    assert "config.yaml: there are no detectors with resnet-101, left out in imagenet.seeds" in output
    assert "config.yaml: data.coco.folder has no effect: detector.data.coco is scenes-coco" in output
    assert "/resnet-1202/" not in output
    assert "/resnet-101/" not in output
    assert (executed(output, "train_cifar10"), executed(output, "train_imagenet")) == (10, 10)
    for rule in ("train_detector", "prepare_scenes", "plot_detections", "measure_bn_statistics"):
        assert executed(output, rule) == 0, rule
    assert executed(output, "tabulate_evaluations") == 6
    assert "table9" not in output, "the appendix was not asked for"
    assert executed(output, "render_report") == 1


def test_what_is_added_is_planned_with_nothing_else_edited(project):
    """Networks in config.yaml, a table and a figure as files; a report of another scale is shown beside this one's."""
    add_artefacts(project)
    for scale in ("demo", "short"):
        (project / f"results/runs/{scale}").mkdir(parents=True)
        (project / f"results/runs/{scale}/report-cifar10.json").write_text("{}")
    seeds = {"cifar10": RESNET_8, "imagenet": {"resnet-18-B": [0]}, "detector": {"resnet-50": [0]}}
    changes = {section: {"seeds": numbers} for section, numbers in seeds.items()}
    code, output = snakemake(project, "-n", "-p", *configure(project, changes))
    assert code == 0, output
    trained = [executed(output, f"train_{name}") for name in ("cifar10", "imagenet", "detector")]
    assert trained == [12, 12, 12]
    [command] = re.findall("evaluate_imagenet.py .*/resnet-18-B/seed0 .*", output)
    assert "--protocols 10crop center multiscale " in command
    for table, model in (("table3", "resnet-18-B"), ("table6", "resnet-8"), ("table8", "resnet-50")):
        assert re.search(rf"--others {model} .*--csv results/{table}\.csv", output), table
    [command] = re.findall("render_report.py (.*)", output)
    assert {"results/centre_crop.json", "results/plain_nets.json"} < set(command.split())
    assert "--others results/runs/short/report-cifar10.json --shown results/runs/demo/report.json " in command


def test_sections_and_artefacts_are_targets_that_say_what_they_are(project):
    add_artefacts(project)
    code, output = snakemake(project, "--list-target-rules")
    assert code == 0, output
    targets = dict(re.findall(r"^([\w-]+) \((.+)\)$", output, re.MULTILINE))
    assert targets["cifar10"].startswith("Section 4.2, ")
    assert targets["centre_crop"] == "Errors on the centre crop"
    assert {"all", "imagenet", "detection", "appendix", "plain_nets", "table3", "detections-coco"} < set(targets)


def test_an_unknown_model_has_no_rule(project):
    code, output = snakemake(project, "-n", "--", "results/runs/demo/digits/resnet-21/seed0/weights.pt")
    assert code != 0
    assert "MissingRuleException" in output
