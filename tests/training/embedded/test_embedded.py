"""The whole training at the smallest schedule: every stage, stopped and resumed, exported, loaded and run."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan
from safetensors.torch import load_file

from threedimo.checkpoints import load_pipeline
from threedimo.errors import EmptyMedia, ModelNotFound, TrainingMismatch
from threedimo_training.cli import main
from threedimo_training.embedded.autoencoder_stage import AutoencoderStage
from threedimo_training.embedded.cached_clips import EVERY, CachedClips
from threedimo_training.embedded.export import export
from threedimo_training.embedded.generator_stage import GeneratorStage
from threedimo_training.embedded.latent_files import LatentFolder, person_share, write_latents
from threedimo_training.embedded.motion_tokens import (
    MotionTokenFolder,
    augmented_tokens,
    write_motion_tokens,
)
from threedimo_training.embedded.recipe import SCHEDULES, EmbeddedRecipe, going_on, make_motion_encoder
from threedimo_training.embedded.starting import take_start
from threedimo_training.embedded.training import adopt_recipe, begun_recipe, train
from threedimo_training.embedded.warm_up_stage import WarmUpStage
from threedimo_training.method.schedule import GEOMETRY_WEIGHT
from threedimo_training.samples.sample import ROLES
from threedimo_training.shards.reader import ShardFolder
from threedimo_training.trainer.loop import state_file
from threedimo_training.trainer.stage import Stage

NUM_CLIPS = 12
RECIPE = EmbeddedRecipe(
    size=32,
    num_frames=9,
    fps=8.0,
    num_clips=NUM_CLIPS,
    autoencoder_image_steps=2,
    autoencoder_steps=4,
    warm_up_steps=3,
    generator_steps=6,
    autoencoder_images=4,
    autoencoder_clips=2,
    warm_up_batch=4,
    generator_pairs=3,
    generator_batch=2,
    generator_channels=32,
    generator_blocks=3,
    generator_rate=1e-3,
    plain=True,
)


STAGES = ("autoencoder", "warm_up", "generator")


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A work folder in which a first call has rendered and cached the clips, and nothing else."""
    folder = tmp_path_factory.mktemp("work")
    nothing = {f"{stage}_steps": 0 for stage in STAGES}
    assert train(replace(RECIPE, **nothing), folder, 5, print)
    for stage in STAGES:
        state_file(folder, stage).unlink()
    for made in ("latents", "tokens"):
        shutil.rmtree(folder / made)
    return folder


def test_without_time_nothing_is_rendered(tmp_path):
    assert not train(RECIPE, tmp_path, 0, print)
    assert not any(tmp_path.iterdir())


def test_rendering_goes_on_where_it_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr("threedimo_training.embedded.training.RENDER_PORTION", 1)
    monkeypatch.setattr("threedimo_training.embedded.training.SHARD_SAMPLES", 4)
    nothing = replace(RECIPE, **{f"{stage}_steps": 0 for stage in STAGES})
    for num_clips in (4, NUM_CLIPS, NUM_CLIPS):
        assert train(replace(nothing, num_clips=num_clips), tmp_path, 5, print)
    assert len(ShardFolder(tmp_path / "shards")) == NUM_CLIPS


def test_export_before_training_says_what_to_run(tmp_path):
    with pytest.raises(EmptyMedia, match="threedimo-train embedded"):
        export(RECIPE, tmp_path, tmp_path / "model", print)


def test_a_folder_keeps_the_recipe_that_it_was_begun_with(tmp_path):
    cpu = torch.device("cpu")
    assert begun_recipe(tmp_path) is None
    assert adopt_recipe(tmp_path / "work", RECIPE, cpu) == RECIPE
    assert adopt_recipe(tmp_path / "work", None, cpu) == RECIPE
    with pytest.raises(TrainingMismatch, match="another recipe"):
        adopt_recipe(tmp_path / "work", replace(RECIPE, size=48), cpu)
    (tmp_path / "work" / "recipe.json").write_text("{}")
    with pytest.raises(TrainingMismatch, match="damaged"):
        adopt_recipe(tmp_path / "work", None, cpu)


def test_a_new_folder_takes_what_suits_the_device(tmp_path):
    assert adopt_recipe(tmp_path / "a", None, torch.device("cpu")) == SCHEDULES["cpu"]()
    assert adopt_recipe(tmp_path / "b", None, torch.device("cuda")) == SCHEDULES["gpu"]()


def test_clips_in_memory_read_like_clips_in_files(work):
    files = CachedClips(work / "clips")
    memory = CachedClips(work / "clips", resident=True)
    for name in ("driving", "rotations", "hand_visible", "later_hints"):
        for frames in (slice(None), slice(2, 3), [0, 2, 3]):
            assert torch.equal(files.read(name, [3, 0, 11], frames), memory.read(name, [3, 0, 11], frames))


def test_trains_in_pieces_exports_and_runs(work, tmp_path):
    lines: list[str] = []
    assert not train(RECIPE, work, 0, lines.append)
    assert not train(replace(RECIPE, generator_steps=6), work, 0.0, lines.append)
    assert train(RECIPE, work, 5, lines.append)
    for stage in STAGES:
        assert state_file(work, stage).exists()
        assert any(line.startswith(stage) for line in lines)
    assert any("motion_sensitivity" in line and "camera_sensitivity" in line for line in lines)

    export(RECIPE, work, tmp_path / "model", lines.append)
    for file in (tmp_path / "model").rglob("*.safetensors"):
        assert file.stat().st_size < 16 * 1024**2
    pipeline = load_pipeline(str(tmp_path / "model"), device="cpu")
    clips = CachedClips(work / "clips")
    result = pipeline(
        clips.read("target", [0])[0, 0].numpy(), clips.read("driving", [0])[0].numpy(), clips.text(0)
    )
    assert result.frames.shape == (9, 32, 32, 3)
    assert result.frames.dtype == np.uint8
    # The first frame is the reference, through the autoencoder only.
    assert result.frames[0].std() > 0


def _train_until(stage: type[Stage], step: int, folder) -> None:
    """Train until this step of this stage, and be stopped in the middle of it."""
    losses = stage.losses

    def stopped(self, number, generator):
        if number == step:
            raise KeyboardInterrupt
        return losses(self, number, generator)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("threedimo_training.trainer.loop.SAVE_SECONDS", 0.0)
        patch.setattr(stage, "losses", stopped)
        with pytest.raises(KeyboardInterrupt):
            train(RECIPE, folder, 5, print)


def only_data():
    return shutil.ignore_patterns("latents", "tokens", *(f"{stage}*" for stage in STAGES))


def test_stopping_and_resuming_gives_the_same_weights(work, tmp_path):
    whole, pieces = (
        shutil.copytree(work, tmp_path / name, ignore=only_data()) for name in ("whole", "pieces")
    )
    assert train(RECIPE, whole, 5, print)
    for stage, step in ((AutoencoderStage, 2), (WarmUpStage, 1), (GeneratorStage, 3)):
        _train_until(stage, step, pieces)
    assert train(RECIPE, pieces, 5, print)
    for stage in STAGES:
        states = [load_file(state_file(folder, stage)) for folder in (whole, pieces)]
        assert states[0].keys() == states[1].keys()
        assert all(torch.equal(value, states[1][name]) for name, value in states[0].items()), stage


def test_a_model_is_trained_on_from_its_weights(work, tmp_path):
    assert train(RECIPE, work, 5, print)
    export(RECIPE, work, tmp_path / "model", print)
    begun = load_pipeline(str(tmp_path / "model"), device="cpu", dtype=torch.float32)
    further = going_on(replace(RECIPE, generator_steps=0), str(tmp_path / "model"))
    folder = shutil.copytree(work, tmp_path / "further", ignore=only_data())
    (folder / "recipe.json").unlink(missing_ok=True)
    assert adopt_recipe(folder, further, torch.device("cpu")) == further
    assert train(further, folder, 5, print)
    state = load_file(state_file(folder, "generator"))
    for name, module in (("transformer", begun.transformer), ("ema_motion_encoder", begun.motion_encoder)):
        for key, value in module.state_dict().items():
            assert torch.equal(state[f"{name}/{key}"], value), (name, key)
    export(further, folder, tmp_path / "again", print)
    for name in ("latents_mean", "latents_std"):
        assert AutoencoderKLWan.load_config(tmp_path / "again" / "vae")[name] == begun.vae.config[name]
    state_file(folder, "generator").unlink()
    assert train(replace(further, generator_steps=2), folder, 5, print)
    learned = load_file(state_file(folder, "generator"))
    assert any(not torch.equal(value, state[key]) for key, value in learned.items() if key in state)


def test_who_starts_from_a_model_sees_all_views_from_the_first_step(work):
    warm_up = WarmUpStage(RECIPE, CachedClips(work / "clips"))

    def first_roles(recipe: EmbeddedRecipe) -> set[str]:
        latents = LatentFolder(work / "latents")
        stage = GeneratorStage(recipe, warm_up.clips, latents, warm_up.encoder)
        return set(stage.roles(0.0))

    recipe = replace(RECIPE, generator_pairs=8)
    assert first_roles(recipe) == {"same_view"}
    assert first_roles(replace(recipe, start="embedded")) == set(ROLES)
    assert first_roles(replace(recipe, start="embedded", new_generator=True)) == {"same_view"}


def test_a_new_generator_begins_from_nothing_beside_a_models_other_weights(work, tmp_path):
    recipe = replace(RECIPE, size=64, num_frames=17, start="embedded", new_generator=True)
    clips = CachedClips(work / "clips")
    stage = GeneratorStage(recipe, clips, LatentFolder(work / "latents"), make_motion_encoder(recipe))
    before = {name: value.clone() for name, value in stage.transformer.state_dict().items()}
    take_start(stage, recipe, tmp_path)
    assert all(torch.equal(value, before[name]) for name, value in stage.transformer.state_dict().items())
    known = load_pipeline("embedded", device="cpu", dtype=torch.float32)
    for name in ("motion_encoder", "camera_encoder", "text_encoder"):
        for key, value in getattr(known, name).state_dict().items():
            assert torch.equal(stage.modules[name].state_dict()[key], value), (name, key)
            assert torch.equal(stage.modules[f"ema_{name}"].state_dict()[key], value), (name, key)


def test_a_new_generator_is_beside_a_models_others_only(tmp_path, capsys):
    arguments = ["embedded", "--new-generator", "--minutes", "1", "--work", str(tmp_path / "work")]
    assert main(arguments) == 5
    assert "--start" in capsys.readouterr().err
    assert not (tmp_path / "work").exists()


def test_a_model_without_picture_positions_begins_with_zeros_in_its_own_size(work, tmp_path):
    recipe = going_on(replace(RECIPE, size=64, num_frames=17), "embedded")
    clips = CachedClips(work / "clips")
    stage = GeneratorStage(recipe, clips, LatentFolder(work / "latents"), make_motion_encoder(recipe))
    torch.nn.init.normal_(stage.transformer.proj_out.weight)
    take_start(stage, recipe, tmp_path)
    known = load_pipeline("embedded", device="cpu", dtype=torch.float32).transformer.state_dict()
    assert "picture_position.proj.weight" not in known
    for name, value in stage.transformer.state_dict().items():
        assert torch.equal(value, known.get(name, torch.zeros_like(value))), name


def test_a_generator_of_another_size_is_no_start(work, tmp_path):
    recipe = replace(RECIPE, size=64, num_frames=17, start="embedded")
    clips = CachedClips(work / "clips")
    stage = GeneratorStage(recipe, clips, LatentFolder(work / "latents"), make_motion_encoder(recipe))
    with pytest.raises(TrainingMismatch, match="--new-generator"):
        take_start(stage, recipe, tmp_path)


def test_a_model_of_other_clips_is_no_start(tmp_path):
    for start, error, words in (
        ("embedded", TrainingMismatch, "64x64"),
        ("nowhere", ModelNotFound, "nowhere"),
    ):
        with pytest.raises(error, match=words):
            adopt_recipe(tmp_path / "work", going_on(RECIPE, start), torch.device("cpu"))
    assert not (tmp_path / "work").exists()


def test_latents_and_person_shares_lie_on_one_grid(work):
    latents = LatentFolder(work / "latents")
    assert len(latents) == NUM_CLIPS
    grid = latents.read("latents", [0, 1]).shape
    assert grid == (2, 16, 3, 4, 4)
    share = latents.read("person", [0, 1])
    assert share.shape == (2, 3, 4, 4)
    assert 0 < share.mean() < 0.7


def test_person_share_averages_the_frames_of_each_latent_frame():
    silhouette = torch.zeros(1, 9, 16, 16, dtype=torch.bool)
    silhouette[:, 0] = True
    silhouette[:, 3:5, :8] = True
    share = person_share(silhouette, torch.Size([3, 2, 2]))
    assert share[0, 0].tolist() == [[1, 1], [1, 1]]
    assert share[0, 1].tolist() == [[0.5, 0.5], [0, 0]]
    assert share[0, 2].tolist() == [[0, 0], [0, 0]]


@pytest.fixture
def generator_stage(work, tmp_path):
    clips = CachedClips(work / "clips")
    write_latents(tmp_path, clips, AutoencoderStage(RECIPE, clips).autoencoder, 0)
    return GeneratorStage(RECIPE, clips, LatentFolder(tmp_path), make_motion_encoder(RECIPE))


def test_the_encoder_waits_until_the_generator_may_listen(generator_stage):
    generator_stage.num_steps = 5
    learns = []
    for step in range(5):
        generator_stage.encoder.zero_grad(set_to_none=True)
        generator_stage.losses(step, torch.Generator().manual_seed(step))["loss"].backward()
        learns.append(any(p.grad is not None for p in generator_stage.encoder.parameters()))
    assert learns == [False, False, False, False, True]


def test_tokens_are_read_while_the_encoder_waits_and_encoded_once_it_learns(generator_stage, tmp_path):
    clips, encoder = generator_stage.clips, generator_stage.encoder
    write_motion_tokens(tmp_path, clips, encoder, 0, RECIPE.seed)
    generator_stage.tokens = tokens = MotionTokenFolder(tmp_path)
    assert len(tokens) == NUM_CLIPS
    wanted = augmented_tokens(encoder, clips, list(range(8)), EVERY, torch.Generator().manual_seed(0))
    assert torch.allclose(tokens.read([5, 2], [0, 3, 4]), wanted[[5, 2]][:, [0, 3, 4]], atol=1e-2)
    calls = []
    encoder.register_forward_hook(lambda *_: calls.append(True))
    generator_stage.losses(1, torch.Generator().manual_seed(1))
    assert not calls
    generator_stage.losses(RECIPE.generator_steps - 1, torch.Generator().manual_seed(1))
    assert calls


def test_tokens_that_were_made_are_not_made_again(generator_stage, tmp_path):
    write_motion_tokens(tmp_path, generator_stage.clips, generator_stage.encoder, 0, 0)
    (file,) = tmp_path.glob("tokens-*")
    made = file.stat().st_mtime_ns
    write_motion_tokens(tmp_path, generator_stage.clips, generator_stage.encoder, 0, 0)
    assert file.stat().st_mtime_ns == made


def test_pairs_come_first_and_whole_clips_later(generator_stage, monkeypatch):
    seen = []
    forward = generator_stage.transformer.forward
    monkeypatch.setattr(
        generator_stage.transformer,
        "forward",
        lambda noised, *rest, **named: seen.append(noised.shape[:3]) or forward(noised, *rest, **named),
    )
    for step in (1, RECIPE.generator_steps - 1):
        generator_stage.losses(step, torch.Generator().manual_seed(1))
    pairs, clips = seen
    assert pairs == (RECIPE.generator_pairs, 16, 2)
    assert clips == (RECIPE.generator_batch, 16, 3)


def test_the_encoder_learns_more_slowly_and_nothing_is_left_out(generator_stage):
    rest, encoder = generator_stage.parameter_groups()
    assert rest["scale"] == 1 > encoder["scale"] > 0
    assert {id(p) for p in encoder["params"]} == {id(p) for p in generator_stage.encoder.parameters()}
    both = [id(p) for p in (*rest["params"], *encoder["params"])]
    assert len(set(both)) == len(both)
    assert set(both) == {id(p) for p in generator_stage.parameters()}


def test_the_geometry_loss_fades_while_the_encoder_learns(generator_stage):
    @torch.no_grad()
    def weight(step):
        found = generator_stage.losses(step, torch.Generator().manual_seed(step))
        rest = found["loss"] - found["flow"] - generator_stage.place_weight * found["place"]
        return float(rest / found["geometry"])

    generator_stage.num_steps = 20
    assert weight(0) == pytest.approx(GEOMETRY_WEIGHT, rel=0.05)
    assert weight(14) == pytest.approx(GEOMETRY_WEIGHT, rel=0.05)
    assert 0.1 * GEOMETRY_WEIGHT < weight(16) < 0.9 * GEOMETRY_WEIGHT
    assert abs(weight(19)) < 0.05 * GEOMETRY_WEIGHT
