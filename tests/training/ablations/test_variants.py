from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch

from threedimo.errors import InvalidRequest
from threedimo_training.ablations.channel_transformer import ChannelMotionTransformer
from threedimo_training.ablations.ground import open_ground
from threedimo_training.ablations.smpl_encoder import read_pose, root_in_camera
from threedimo_training.ablations.training import make_stage
from threedimo_training.ablations.variants import FULL, VARIANTS, chosen_variants
from threedimo_training.embedded.generator_stage import GeneratorStage
from threedimo_training.embedded.recipe import make_transformer
from threedimo_training.method.flow_matching import noise_latents, predict_velocity

PAPERS = {"smpl_pose", "stage_1_only", "stages_1_and_2", "channel_concatenation", "no_geometry_head"}
OURS = {"no_hints", "no_warm_up", "no_picture_position", "no_place_head", "no_pairs"}


@pytest.fixture(scope="module")
def ground(work):
    return open_ground(work, steps=6, seed=0)


def test_the_papers_six_and_ours_are_there():
    assert {name for name, variant in VARIANTS.items() if variant.paper} == PAPERS | {FULL, "no_hand_encoder"}
    assert set(VARIANTS) == PAPERS | OURS | {FULL, "no_hand_encoder"}
    assert [variant.name for variant in chosen_variants(["no_hints"])] == [FULL, "no_hints"]
    with pytest.raises(InvalidRequest, match="no_camera"):
        chosen_variants(["no_camera"])


def test_the_whole_method_is_the_generator_stage_itself(ground):
    ours = make_stage(VARIANTS[FULL], ground)
    plain = GeneratorStage(
        ground.recipe, ground.clips, ground.latents, *copy.deepcopy((ground.encoder, ground.geometry))
    )
    assert type(ours) is GeneratorStage
    for name, module in plain.modules.items():
        other = ours.modules[name].state_dict()
        assert module.state_dict().keys() == other.keys()
        assert all(torch.equal(value, other[key]) for key, value in module.state_dict().items())


@pytest.mark.parametrize("name", sorted(set(VARIANTS) - {FULL, "stage_1_only", "stages_1_and_2"}))
def test_every_variant_draws_the_same_samples_and_noise(ground, name, monkeypatch):
    seen = []

    def record(latents, num_lead, levels, noise):
        seen.append((latents, levels, noise))
        return noise_latents(latents, num_lead, levels, noise)

    monkeypatch.setattr("threedimo_training.embedded.generator_stage.noise_latents", record)
    for each in (FULL, name):
        make_stage(VARIANTS[each], ground).losses(5, torch.Generator().manual_seed(5))
    assert all(torch.equal(first, second) for first, second in zip(*seen, strict=True))


def test_stages_stop_where_they_say(ground):
    recipe = replace(ground.recipe, generator_batch=4)
    stages = {
        name: make_stage(VARIANTS[name], replace_recipe(ground, recipe))
        for name in (FULL, "stage_1_only", "stages_1_and_2")
    }
    assert set(stages["stage_1_only"].roles(0.999)) == {"same_view"}
    assert stages["stages_1_and_2"].roles(0.999).count("same_view") == 2
    assert "same_view" not in stages[FULL].roles(0.999)


def replace_recipe(ground, recipe):
    return replace(ground, recipe=recipe)


def test_losses_that_are_left_out_teach_nothing(ground):
    def gradient(name, module):
        stage = make_stage(VARIANTS[name], ground)
        stage.losses(0, torch.Generator().manual_seed(0))["loss"].backward()
        parameters = list(stage.modules[module].parameters())
        return sum(float(p.grad.abs().sum()) for p in parameters if p.grad is not None)

    for name, module in (("no_geometry_head", "geometry"), ("no_place_head", "places")):
        assert gradient(name, module) == 0
        assert gradient(FULL, module) > 0
    assert gradient("no_hints", "camera_encoder") == 0


def test_without_picture_positions_they_stay_zeros(ground):
    """And all other weights begin as the whole method's."""
    full, without = (make_stage(VARIANTS[name], ground) for name in (FULL, "no_picture_position"))
    for key, value in without.transformer.state_dict().items():
        assert torch.equal(value, full.transformer.state_dict()[key]), key
    places = set(without.transformer.picture_position.parameters())
    assert not places & set(without.parameters())
    assert set(full.transformer.picture_position.parameters()) <= set(full.parameters())


def test_encoders_come_from_the_warm_up_or_not(ground):
    warm = ground.encoder.state_dict()
    body = make_stage(VARIANTS["no_hand_encoder"], ground).encoder
    assert body.hands is None
    assert body.num_tokens == 5
    assert all(torch.equal(value, warm[name]) for name, value in body.state_dict().items())
    fresh = make_stage(VARIANTS["no_warm_up"], ground).encoder.state_dict()
    assert fresh.keys() == warm.keys()
    assert not torch.equal(fresh["body.latent_tokens"], warm["body.latent_tokens"])


def test_the_warm_ups_head_goes_with_its_encoder_alone(ground):
    def first_weights(name):
        return make_stage(VARIANTS[name], ground).geometry.layers[0].weight

    learned = ground.geometry.layers[0].weight
    assert torch.equal(first_weights(FULL), learned)
    assert not torch.equal(first_weights("no_warm_up"), learned)
    assert first_weights("no_hand_encoder").shape != learned.shape


def test_smpl_pose_is_that_of_the_camera(ground):
    body, seen = (ground.clips.read(name, [3]) for name in ("body_joints", "camera_joints"))
    rotations = root_in_camera(body, seen)
    assert torch.allclose(rotations @ rotations.mT, torch.eye(3).expand_as(rotations), atol=1e-5)
    assert torch.allclose(torch.linalg.det(rotations), torch.ones(rotations.shape[:2]), atol=1e-5)
    assert torch.allclose(body.float() @ rotations.mT, seen.float(), atol=1e-4)
    assert read_pose(ground.clips, [3, 4], slice(0, 5)).shape == (2, 5, 54 * 6)


def test_channels_carry_the_motion_and_dropped_motion_adds_nothing(ground):
    torch.manual_seed(0)
    transformer = ChannelMotionTransformer.like(make_transformer(ground.recipe), num_tokens=3).eval()
    for parameter in transformer.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.02)
    generator = torch.Generator().manual_seed(1)
    latents = torch.randn(2, 16, 3, 4, 4, generator=generator)
    batch = noise_latents(
        latents, 1, torch.tensor([0.5, 0.9]), torch.randn(latents.shape, generator=generator)
    )
    text, camera = torch.randn(2, 4, 128, generator=generator), torch.zeros(2, 9, 1, 128)
    motion = torch.randn(2, 9, 3, 128, generator=generator)
    with torch.no_grad():
        heard, other, dropped = (
            predict_velocity(transformer, batch, text, tokens, camera)
            for tokens in (motion, motion.roll(1, dims=1), torch.zeros_like(motion))
        )
        transformer.motion_channels.weight.zero_()
        deaf = predict_velocity(transformer, batch, text, motion, camera)
    assert heard.shape == latents.shape
    assert not torch.allclose(heard, other, atol=1e-3)
    assert torch.equal(dropped, deaf)
    with pytest.raises(ValueError, match="needs motion tokens"):
        transformer(batch.noised, batch.timesteps, text)
