"""Real steps on real samples: what changes, what stays, what is written; stopping changes nothing."""

from __future__ import annotations

import csv
from dataclasses import replace

import pytest
import torch
import torch.distributed as dist
from safetensors.torch import load_file
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

from threedimo.checkpoints import load_pipeline
from threedimo.media import read_image
from threedimo_training.finetuning.export import export_finetuned
from threedimo_training.finetuning.finetune import finetune
from threedimo_training.finetuning.generator import LORA_LAYERS
from threedimo_training.finetuning.stage import FinetuneStage
from threedimo_training.trainer.loop import state_file

COMPONENTS = ("transformer", "motion_encoder", "camera_encoder", "vae", "text_encoder")


def weights(folder) -> dict[str, torch.Tensor]:
    pipeline = load_pipeline(str(folder), device="cpu")
    return {
        f"{name}.{key}": value
        for name in COMPONENTS
        for key, value in getattr(pipeline, name).state_dict().items()
    }


def may_change(train: str, name: str) -> bool:
    component, _, key = name.partition(".")
    if component in ("motion_encoder", "camera_encoder") or ".motion_attn." in key:
        return True
    if component != "transformer" or train == "adapters":
        return False
    return train == "full" or bool(LORA_LAYERS.fullmatch(key.removesuffix(".weight")))


@pytest.mark.parametrize("train", ["adapters", "lora", "full"])
def test_exactly_the_chosen_weights_change(options, base, tmp_path, train):
    options = replace(options, train=train, steps=4, learning_rate=1.0)
    assert finetune(options, lambda _: None)
    export_finetuned(options.work, tmp_path / "model", whole=True, report=lambda _: None)
    before, after = weights(base), weights(tmp_path / "model")
    assert before.keys() == after.keys()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    allowed = {name for name in before if may_change(train, name)}
    assert changed <= allowed
    # In so few steps some receive no gradient: the camera of a clip may be dropped each time.
    assert len(changed) > 0.8 * len(allowed)
    assert {name.partition(".")[0] for name in changed} >= {"transformer", "motion_encoder"}


def test_stopping_and_resuming_gives_the_same_weights(options, run_until, tmp_path):
    options = replace(options, train="lora", steps=5)
    assert finetune(options, lambda _: None)
    pieces = replace(options, work=tmp_path / "pieces")
    run_until(pieces, 1)
    run_until(pieces, 3)
    assert finetune(pieces, lambda _: None)
    one, other = (load_file(state_file(work, "finetune")) for work in (options.work, pieces.work))
    assert one.keys() == other.keys()
    assert any(name.startswith("ema/") for name in one)
    for name, value in one.items():
        assert torch.equal(value, other[name]), name


def test_what_is_cached_is_not_made_again(caches, options, data):
    made = {file.name for file in caches.rglob("*/*.safetensors")}
    assert len(made) > len(data)
    lines: list[str] = []
    finetune(options, lines.append)
    assert not [line for line in lines if line.startswith("latents")]
    assert {file.name for file in options.work.rglob("*/*.safetensors")} == made
    smaller = replace(options, work=options.work.parent / "smaller", size=(16, 16), minutes=0)
    finetune(smaller, lines.append)
    assert [line for line in lines if line.startswith("latents")] == [
        "latents 1/2 shards",
        "latents 2/2 shards",
    ]
    assert not made & {file.name for file in (smaller.work / "latents").iterdir()}


def far_apart(one, other) -> list[str]:
    """Tensors that differ by more than what the 16-bit rounding of gradients explains, after two steps.

    AdamW moves a weight by the whole rate (1 and 2 millionths here) however small its gradient is.
    """
    assert one.keys() == other.keys()
    values = {name: (value.float(), other[name].float()) for name, value in one.items()}
    moments = {name for name in values if "exp_avg" in name}
    assert moments
    return [
        name
        for name, (a, b) in values.items()
        if ((a - b).norm() > 0.05 * a.norm() + 1e-8 if name in moments else (a - b).abs().max() > 6.1e-6)
    ]


def test_a_batch_in_portions_with_checkpointing_is_the_same_step(options, tmp_path):
    finetune(options, lambda _: None)
    thrifty = replace(options, work=tmp_path / "thrifty", at_once=1, checkpointing=True)
    finetune(thrifty, lambda _: None)
    one, other = (load_file(state_file(work, "finetune")) for work in (options.work, thrifty.work))
    assert not far_apart(one, other)


def test_curves_meter_and_pictures(options):
    lines: list[str] = []
    finetune(replace(options, steps=3, grid_interval=2), lines.append)
    assert "steps/s" in lines[-1]
    with (options.work / "finetune.csv").open() as stream:
        names = {row["name"] for row in csv.DictReader(stream)}
    assert names == {"loss", "flow", "geometry", "held_out_loss", "motion_sensitivity"}
    pictures = sorted((options.work / "pictures").iterdir())
    assert [file.name for file in pictures] == ["held_out-000002.png", "held_out-000003.png"]
    grid = read_image(pictures[0])
    assert grid.shape == (3 * 32, 4 * 32, 3)
    reference, driving, target, generated = (grid[:, column : column + 32] for column in (0, 32, 64, 96))
    for picture in (reference, driving, target, generated):
        assert picture.std() > 0
    assert not (reference == target).all()
    (events,) = (options.work / "tensorboard" / "finetune").iterdir()
    assert b"motion_sensitivity" in events.read_bytes()


def test_samples_that_are_drawn_as_the_training_goes(options, tmp_path):
    drawn = replace(options, data=())
    assert finetune(drawn, lambda _: None)
    again = replace(drawn, work=tmp_path / "again")
    assert finetune(again, lambda _: None)
    one, other = (load_file(state_file(work, "finetune")) for work in (drawn.work, again.work))
    assert all(torch.equal(value, other[name]) for name, value in one.items())


@pytest.fixture
def sharded(tmp_path, monkeypatch):
    """The generator spread over a (one-process) mesh block by block, as FSDP2 does it.

    `accelerate` itself shards on GPUs only.
    """

    def spread(self, accelerator, optimizer):
        mesh = init_device_mesh("cpu", (1,))
        for block in (*self.generator.transformer.blocks, self.generator):
            fully_shard(block, mesh=mesh)
        optimizer.param_groups[0]["params"] = self.parameters()
        self.model = self.generator
        return accelerator.prepare_optimizer(optimizer)

    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/meeting", rank=0, world_size=1)
    monkeypatch.setattr(FinetuneStage, "spread", spread)
    yield
    dist.destroy_process_group()


@pytest.mark.parametrize("train", ["lora", "full"])
def test_a_sharded_training_takes_the_same_steps(options, tmp_path, train, request, run_until):
    options = replace(options, train=train, steps=3, checkpointing=True)
    other = replace(options, work=tmp_path / "sharded")
    finetune(options, lambda _: None)
    run_until(other, 1)
    request.getfixturevalue("sharded")
    finetune(other, lambda _: None)
    one, two = (load_file(state_file(work, "finetune")) for work in (options.work, other.work))
    assert not far_apart(one, two)
    pictures = [read_image(next((work / "pictures").iterdir())) for work in (options.work, other.work)]
    assert abs(pictures[0].astype(float) - pictures[1]).max() <= 8


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # torch's compiler uses what torch has deprecated, and more like that
def test_compiled_blocks_take_the_same_steps(options, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "compiler"))
    finetune(options, lambda _: None)
    compiled = replace(options, work=tmp_path / "compiled", compiled=True)
    finetune(compiled, lambda _: None)
    one, other = (load_file(state_file(work, "finetune")) for work in (options.work, compiled.work))
    assert not far_apart(one, other)
