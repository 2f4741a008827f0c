"""Choices of size and speed: none that the server's own rules refuse, and what is chosen is what is sent."""

from __future__ import annotations

import itertools
import uuid

import pytest

pytestmark = pytest.mark.blender

SIZES, SPEEDS = ("MODEL", "CAMERA", "HALF"), ("DRAFT", "MODEL", "FINE")
# The protocol's.
MAX_STEPS = 200


@pytest.fixture
def make_model(installed):
    from threedimo.wire.messages import ModelInfo

    def make(width, height, size_step, num_inference_steps=10):
        return ModelInfo(
            id="test",
            trained=True,
            width=width,
            height=height,
            num_frames=17,
            max_frames=81,
            fps=16.0,
            frame_step=4,
            size_step=size_step,
            num_inference_steps=num_inference_steps,
            text_guidance_scale=1.0,
            motion_guidance_scale=1.0,
        )

    return make


MODELS = ((64, 64, 8, 10), (832, 480, 16, 30), (480, 832, 16, 50), (16, 16, 16, 1), (1280, 720, 16, 150))
PICTURES = ((1920, 1080), (1080, 1920), (512, 512), (4096, 100), (1, 16384), (2048, 858))


@pytest.mark.parametrize("model", MODELS)
def test_no_choice_is_one_that_the_server_refuses(addon, make_model, model):
    info = make_model(*model)
    for size, speed, picture in itertools.product(SIZES, SPEEDS, PICTURES):
        chosen = addon("result_presets").result_settings(info, size, speed, picture)
        assert chosen.width > 0
        assert chosen.height > 0
        assert chosen.width % info.size_step == chosen.height % info.size_step == 0
        assert chosen.width * chosen.height <= info.width * info.height
        assert 1 <= chosen.num_inference_steps <= MAX_STEPS


def test_model_s_own_is_the_model_s_own(addon, make_model):
    chosen = addon("result_presets").result_settings(
        make_model(832, 480, 16, 30), "MODEL", "MODEL", (512, 512)
    )
    assert chosen.sentence() == "832 x 480 pixels, 30 steps"


def test_half_and_the_speeds(addon, make_model):
    settings, info = addon("result_presets").result_settings, make_model(832, 480, 16, 30)
    assert settings(info, "HALF", "DRAFT", (512, 512)).sentence() == "416 x 240 pixels, 15 steps"
    assert settings(info, "MODEL", "FINE", (512, 512)).num_inference_steps == 60


@pytest.mark.parametrize("picture", [(1920, 1080), (1080, 1920), (512, 512), (2048, 858), (1998, 1080)])
def test_camera_s_shape_is_the_render_s_at_nearly_the_model_s_pixels(addon, make_model, picture):
    info = make_model(832, 480, 16)
    chosen = addon("result_presets").result_settings(info, "CAMERA", "MODEL", picture)
    aspect = picture[0] / picture[1]
    assert chosen.width / chosen.height == pytest.approx(aspect, rel=0.03)
    assert chosen.width * chosen.height > 0.8 * info.width * info.height


@pytest.fixture
def shot(blender, scene, add_camera, server_says, tmp_path):
    """A saved scene with all that a shot needs."""
    for name in ("woman.png", "walk.mp4"):
        (tmp_path / name).write_bytes(b"content")
    scene.threedimo.reference_image = str(tmp_path / "woman.png")
    scene.threedimo.driving_footage = str(tmp_path / "walk.mp4")
    scene.frame_start, scene.frame_end = 1, 24
    blender.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"))
    return add_camera()


def test_what_is_chosen_is_sent_and_kept_for_further_takes(scene, shot, addon):
    scene.threedimo.size_preset, scene.threedimo.speed_preset = "HALF", "FINE"
    first, again = str(uuid.uuid4()), str(uuid.uuid4())
    addon("dispatch").begin(scene, first)
    scene.threedimo.size_preset = "MODEL"
    addon("dispatch").regenerate(first, 5, again)

    for job_id in (first, again):
        take = addon("take_records").find_take(job_id).take
        assert take.made_as == "32 x 32 pixels, 4 steps"
        sheet, order = addon("takes").read_order(addon("take_records").take_folder(take))
        request = (
            addon("orders").build_request(order, addon("timeline").FrameMapping(1, 24, 24.0, 21)).request
        )
        assert (request.width, request.height, request.num_inference_steps) == (32, 32, 4)
    assert (sheet.seed, sheet.result) == (5, order.result)


def test_take_of_another_size_is_another_take(scene, shot, addon):
    for size in ("MODEL", "HALF", "HALF"):
        scene.threedimo.size_preset = size
        addon("dispatch").begin(scene, str(uuid.uuid4()))

    assert [take.same_as for take in scene.threedimo.shots[0].takes] == [0, 0, 2]


def test_take_from_before_there_was_a_choice_is_made_the_models_own_way(scene, shot, leave_take, addon):
    job = leave_take(shot, scene_frames=range(1, 25), num_frames=21, state="sending")
    assert "result" in (job.folder / "take.json").read_text()
    sheet = (job.folder / "take.json").read_text()
    (job.folder / "take.json").write_text(sheet.replace(',\n "result": null', ""))
    assert "result" not in (job.folder / "take.json").read_text()

    _, order = addon("takes").read_order(job.folder)
    request = addon("orders").build_request(order, job.mapping).request

    assert (request.width, request.height, request.num_inference_steps) == (None, None, None)


def test_panel_says_what_is_made(blender, scene, shot, drawn, addon, monkeypatch):
    from types import SimpleNamespace

    capabilities = addon("dispatch")._capabilities()
    session = SimpleNamespace(capabilities=capabilities, connected=True, problem=None, jobs={})
    monkeypatch.setattr(addon("runtime"), "_session", session)
    scene.threedimo.speed_preset = "DRAFT"
    panel = drawn("panels", "THREEDIMO_PT_shot")
    monkeypatch.undo()

    assert "64 x 64 pixels, 1 steps" in panel.labels
