"""The live view: which trainings run, and what each is doing."""

import io
import os
import types

from rich.console import Console
from rich.live import Live
from snakemake_logger_plugin_rich.handler import RichLogHandler

from resnet.live import SILENT_SECONDS, Trainings, add_trainings
from resnet.progress import Progress, read_line


def log_of(folder, run, **changes):
    """Write a log as a training does; return it."""
    log = folder / run / "train.log"
    log.parent.mkdir(parents=True)
    with log.open("w") as file:
        values = {"unit": "iterations", "speed_unit": "images", "done": 50, "scale": 128, "stream": file} | changes
        progress = Progress(200, title="resnet-20 seed 0", **values)
        progress.step(50)
        progress.line(training_error="21.50 %", loss="0.624", lr=0.1)
        progress.line()
    return log


def shown(view, width=80):
    console = Console(file=io.StringIO(), width=width)
    console.print(view)
    return console.file.getvalue()


def test_a_line_of_progress_is_read_back_with_the_values_of_the_last_log_point(tmp_path):
    line = read_line(log_of(tmp_path, "digits/resnet-20/seed0").read_text().splitlines()[-1])
    assert (line.done, line.total, line.values) == (100, 200, ["training_error 21.50 %", "loss 0.624", "lr 0.1"])
    assert line.speed.endswith(" images/s")
    assert read_line("trained 200 iterations in 12 s") is None


def test_trainings_that_run_are_shown_with_iteration_speed_and_error(tmp_path):
    view = Trainings(tmp_path)
    ended = log_of(tmp_path, "digits/plain-20/seed0")
    with ended.open("a") as file:
        file.write("trained 200 iterations in 12 s\n")
    silent = log_of(tmp_path, "digits/plain-32/seed0")
    os.utime(silent, (view.since - SILENT_SECONDS,) * 2)
    log_of(tmp_path, "detector-torchvision-trained/voc07/vgg-16/seed0")
    lines = shown(view).splitlines()
    assert [line.split()[0] for line in lines] == ["voc07/vgg-16/seed0"]
    assert "100/200" in lines[0]
    assert "images/s" in lines[0]
    assert "ETA" in lines[0]
    assert "training_error 21" in lines[0]


def test_snakemakes_logger_has_a_live_view_to_add_them_to():
    settings = types.SimpleNamespace(dryrun=False, printshellcmds=False, show_failed_logs=True, verbose=False)
    assert isinstance(RichLogHandler(settings).live_display, Live)


def test_a_live_view_shows_them_above_its_own_content(tmp_path):
    live = Live("bars")
    add_trainings(live, tmp_path)
    log_of(tmp_path, "digits/resnet-20/seed0")
    assert [line.split()[0] for line in shown(live.get_renderable()).splitlines()] == ["digits/resnet-20/seed0", "bars"]
