import resource
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
import torch
import torch.distributed as dist
from safetensors.torch import load_file
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

from threedimo.errors import StorageError, TrainingDiverged, TrainingError, TrainingMismatch
from threedimo.media import read_image
from threedimo_training.trainer.loop import learning_rate_at, run_stage, state_file
from threedimo_training.trainer.stage import Stage
from threedimo_training.trainer.state import load_state


class _Line(Stage):
    """Fit a line; real optimisation of a real module, small enough to compare bit by bit."""

    name, learning_rate = "line", 5e-2

    def __init__(self, num_steps: int, width: int = 3):
        torch.manual_seed(1)
        self.num_steps, self.layer = num_steps, nn.Linear(width, 1)
        self.modules = {"layer": self.layer}

    def losses(self, step, generator):
        del step
        x = torch.randn(16, self.layer.in_features, generator=generator)
        return {"loss": ((self.layer(x) - x.sum(1, keepdim=True)) ** 2).mean()}


class _Stopped(_Line):
    """Stops as if killed by the clock after a few steps."""

    def __init__(self, num_steps: int, stop_at: int):
        super().__init__(num_steps)
        self.stop_at = stop_at

    def losses(self, step, generator):
        if step >= self.stop_at:
            raise KeyboardInterrupt
        return super().losses(step, generator)


def _forever() -> float:
    return time.monotonic() + 3600


def test_resuming_gives_the_same_weights_as_not_stopping(tmp_path):
    whole, pieces = tmp_path / "whole", tmp_path / "pieces"
    whole.mkdir(), pieces.mkdir()
    stage = _Line(200)
    assert run_stage(stage, whole, _forever(), print)
    assert not run_stage(_Line(200), pieces, time.monotonic() + 0.02, print)
    resumed = _Line(200)
    assert run_stage(resumed, pieces, _forever(), print)
    assert torch.equal(stage.layer.weight, resumed.layer.weight)
    assert abs(stage.layer.weight.mean().item() - 1) < 0.2


def test_a_stop_in_the_middle_keeps_the_last_saved_state(tmp_path, monkeypatch):
    monkeypatch.setattr("threedimo_training.trainer.loop.SAVE_SECONDS", 0.0)
    with pytest.raises(KeyboardInterrupt):
        run_stage(_Stopped(50, stop_at=20), tmp_path, _forever(), print)
    step, _ = load_state(state_file(tmp_path, "line"), _Line(50).modules)
    assert step == 20


def test_a_loss_that_is_no_number_stops_with_the_last_state_intact(tmp_path):
    run_stage(_Line(10), tmp_path, _forever(), print)
    before = state_file(tmp_path, "line").read_bytes()

    class Broken(_Line):
        def losses(self, step, generator):
            return {"loss": super().losses(step, generator)["loss"] * float("nan")}

    with pytest.raises(TrainingDiverged, match="no longer a number at step 10"):
        run_stage(Broken(20), tmp_path, _forever(), print)
    assert state_file(tmp_path, "line").read_bytes() == before


def test_a_state_of_another_configuration_is_refused(tmp_path):
    run_stage(_Line(2), tmp_path, _forever(), print)
    with pytest.raises(TrainingMismatch, match="another configuration of layer"):
        load_state(state_file(tmp_path, "line"), _Line(2, width=5).modules)


def test_a_gradient_that_is_no_number_never_reaches_the_saved_state(tmp_path, monkeypatch):
    """The loss is a number, and so would the state be saved before the next loss tells."""
    monkeypatch.setattr("threedimo_training.trainer.loop.SAVE_SECONDS", 0.0)
    run_stage(_Line(10), tmp_path, _forever(), print)
    before = state_file(tmp_path, "line").read_bytes()

    class Broken(_Line):
        def losses(self, step, generator):
            # the square root of zero is zero, its slope is not a number
            return {"loss": (self.layer.weight * 0).sum().sqrt() + super().losses(step, generator)["loss"]}

    with pytest.raises(TrainingDiverged, match="gradient of stage line is no longer a number at step 10"):
        run_stage(Broken(20), tmp_path, _forever(), print)
    assert state_file(tmp_path, "line").read_bytes() == before


def test_a_damaged_state_is_named_and_left_alone(tmp_path):
    run_stage(_Line(2), tmp_path, _forever(), print)
    file = state_file(tmp_path, "line")
    file.write_bytes(file.read_bytes()[:-40])
    with pytest.raises(TrainingError, match=r"damaged.*line\.safetensors.*delete the file"):
        run_stage(_Line(4), tmp_path, _forever(), print)


@contextmanager
def _largest_file(size: int) -> Iterator[None]:
    """Let the system refuse to write files beyond this size, as a full disk does."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_state_that_cannot_be_written_leaves_the_last_one(tmp_path):
    run_stage(_Line(2, width=500), tmp_path, _forever(), print)
    file = state_file(tmp_path, "line")
    before = file.read_bytes()
    with _largest_file(4096), pytest.raises(StorageError, match=r"line\.safetensors"):
        run_stage(_Line(4, width=500), tmp_path, _forever(), print)
    assert file.read_bytes() == before
    assert not list(tmp_path.glob("*.partial"))


class _Portions(_Line):
    """The same batch in portions."""

    num_portions = 4

    def portion_losses(self, step, portion, generator):
        del step
        x = torch.randn(16, self.layer.in_features, generator=generator)[4 * portion : 4 * portion + 4]
        return {"loss": ((self.layer(x) - x.sum(1, keepdim=True)) ** 2).mean()}


def test_a_batch_in_portions_is_the_same_step(tmp_path):
    whole, portions = _Line(20), _Portions(20)
    for name, stage in (("whole", whole), ("portions", portions)):
        (tmp_path / name).mkdir()
        run_stage(stage, tmp_path / name, _forever(), print)
    assert torch.allclose(whole.layer.weight, portions.layer.weight, atol=1e-4)


class _Pictured(_Line):
    def pictures(self, step):
        return {"grid": torch.full((16, 20, 3), step, dtype=torch.uint8)} if step % 2 == 0 else {}


def test_pictures_and_curves_lie_in_the_work_folder(tmp_path):
    run_stage(_Pictured(4), tmp_path, _forever(), print)
    pictures = sorted((tmp_path / "pictures").iterdir())
    assert [file.name for file in pictures] == ["grid-000002.png", "grid-000004.png"]
    assert read_image(pictures[1]).tolist() == [[[4, 4, 4]] * 20] * 16
    (events,) = (tmp_path / "tensorboard" / "line").iterdir()
    assert b"grid" in events.read_bytes()


class _Sharded(_Line):
    """Its parameters are spread over a (one-process) mesh, as FSDP2 spreads them."""

    def begin(self, accelerator, optimizer):
        fully_shard(self.layer, mesh=init_device_mesh("cpu", (1,)))
        optimizer.param_groups[0]["params"] = list(self.layer.parameters())
        return super().begin(accelerator, optimizer)

    def state(self):
        return {"layer": dict(self.layer.named_parameters())}


@pytest.fixture
def process_group(tmp_path):
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/meeting", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def test_sharded_training_reads_and_writes_the_same_files(tmp_path, process_group):
    for name in ("plain", "mixed"):
        (tmp_path / name).mkdir()
    run_stage(_Line(40), tmp_path / "plain", _forever(), print)
    for cls, steps in ((_Line, 10), (_Sharded, 20), (_Line, 30), (_Sharded, 40)):

        class Part(cls):
            def losses(self, step, generator, until=steps):
                if step == until:
                    raise KeyboardInterrupt
                return super().losses(step, generator)

        with pytest.MonkeyPatch.context() as patch, suppress(KeyboardInterrupt):
            patch.setattr("threedimo_training.trainer.loop.SAVE_SECONDS", 0.0)
            run_stage(Part(40), tmp_path / "mixed", _forever(), print)
    plain, mixed = (load_file(state_file(tmp_path / name, "line")) for name in ("plain", "mixed"))
    assert plain.keys() == mixed.keys()
    for name, value in plain.items():
        assert torch.allclose(value.float(), mixed[name].float(), atol=1e-6), name


def test_learning_rate_rises_then_falls():
    rates = [learning_rate_at(step, 1000, 1.0) for step in (0, 99, 500, 999)]
    assert rates[0] == pytest.approx(0.01)
    assert rates[1] > rates[2] > rates[3] == pytest.approx(0.05, abs=0.01)
