"""GPUs: which process takes which."""

import tempfile
import types

import pytest
import torch
import torch.distributed as dist
from conftest import Started, run_program, tiny_recipe

from resnet.classification.cifar10 import activation_bytes
from resnet.errors import UserError
from resnet.settings import Hardware
from resnet.training.distributed import Processes
from resnet.training.gpus import claim_gpu, own_gpu, room_for_activations
from training.conftest import arguments


def test_processes_on_one_machine_take_different_gpus(tmp_path, monkeypatch):
    gpus = ["a", "b"]
    first, lock = claim_gpu(gpus, folder=tmp_path)
    second, other = claim_gpu(["b", "a"], folder=tmp_path)
    assert (first, second) == (0, 0), "a, then b, which CUDA_VISIBLE_DEVICES has put first"
    (third, shared), (fourth, _held) = claim_gpu(gpus, folder=tmp_path), claim_gpu(gpus, folder=tmp_path)
    assert (third, fourth) == (0, 1), "the least used"
    other.close()
    shared.close()
    assert claim_gpu(gpus, folder=tmp_path)[0] == 1
    assert (claim_gpu(gpus, 0, tmp_path)[0], claim_gpu(["c"], 3, tmp_path)[0]) == (0, 0)
    lock.close()
    with pytest.raises(UserError, match="needs a GPU, but this machine has 2"):
        claim_gpu(gpus, 2, tmp_path)
    (tmp_path / "file").touch()
    assert claim_gpu(gpus, folder=tmp_path / "file/locks") == (0, None)

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    show(monkeypatch, 2)
    assert [str(Processes(Hardware()).device) for _ in range(2)] == ["cuda:0"] * 2, "a process keeps its own"
    kept = own_gpu(None)
    own_gpu.cache_clear()
    assert str(Processes(Hardware()).device) == "cuda:1"
    own_gpu.cache_clear()
    kept[1].close()


def show(monkeypatch, count):
    """Let a process see some GPUs."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: types.SimpleNamespace(uuid=f"gpu-{index}"))
    monkeypatch.setattr(torch.cuda, "set_device", lambda _: None)


def begin_together(count, folder):
    """Begin as one of the processes that train together on a machine of so many GPUs; say how it went."""
    start = dist.init_process_group
    with pytest.MonkeyPatch.context() as patch:
        show(patch, count)
        patch.setattr(tempfile, "tempdir", folder)
        patch.setattr(dist, "init_process_group", lambda _backend: start("gloo"))
        try:
            processes = Processes(Hardware())
        except UserError as error:
            print(error, flush=True)
        else:
            print(processes.device, flush=True)
            processes.close()


@pytest.mark.parametrize(
    ("gpus", "said"),
    [(2, {"cuda:0", "cuda:1"}), (1, {"2 processes train together, but have 1 GPUs among them: use fewer processes"})],
)
def test_processes_that_train_together_need_a_gpu_each(tmp_path, gpus, said):
    """Also where each sees but one, as by some schedulers."""
    output, _ = Started(2, begin_together, gpus, str(tmp_path)).communicate()
    assert set(output.splitlines()) == said


def test_cuda_without_a_gpu_is_one_clear_error(dataset, tmp_path):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    code, output = run_program(*arguments(dataset, tmp_path / "run", tiny_recipe(), Hardware(device="cuda")))
    assert code == 1
    assert output.strip().endswith("device is cuda, but torch sees no GPU; use auto or cpu")


@pytest.mark.parametrize(("gigabytes", "kept"), [(80, True), (24, True), (16, False)])
def test_a_gpu_keeps_the_activations_that_its_memory_holds(monkeypatch, gigabytes, kept):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _device: (gigabytes * 10**9, 80 * 10**9))
    needed = activation_bytes(tiny_recipe(model="resnet-1202", image_size=32, batch_size=128))
    assert (needed <= room_for_activations(torch.device("cuda"))) == kept
