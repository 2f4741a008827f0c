"""Choices of size and preset: none that the server's own rules refuse, and what is chosen is what is sent."""

from __future__ import annotations

import itertools
import json
import uuid
from types import SimpleNamespace

import pytest

pytestmark = pytest.mark.blender

SIZES = ("MODEL", "CAMERA", "SMALL")


@pytest.fixture
def make_model(installed):
    from threedimo.wire.messages import ModelInfo, Preset

    draft = Preset(
        name="draft",
        num_inference_steps=5,
        text_guidance_scale=1.0,
        motion_guidance_scale=1.0,
        step_cache="taylor:2",
    )

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
            presets=[draft],
        )

    return make


MODELS = ((64, 64, 8, 10), (832, 480, 16, 30), (480, 832, 16, 50), (16, 16, 16, 1), (1280, 720, 16, 150))
PICTURES = ((1920, 1080), (1080, 1920), (512, 512), (4096, 100), (1, 16384), (2048, 858))


@pytest.mark.parametrize("model", MODELS)
def test_no_choice_is_one_that_the_server_refuses(addon, make_model, model):
    from threedimo.wire.sizes import check_size

    info = make_model(*model)
    for size, picture in itertools.product(SIZES, PICTURES):
        chosen = addon("result_presets").result_settings(info, size, "", picture)
        check_size(chosen.width, chosen.height, info)  # the server's own rule


def test_model_s_own_is_the_model_s_own(addon, make_model):
    chosen = addon("result_presets").result_settings(make_model(832, 480, 16, 30), "MODEL", "", (512, 512))
    assert chosen.sentence() == "832 x 480 pixels, 30 steps"


def test_small_and_a_preset(addon, make_model):
    chosen = addon("result_presets").result_settings(
        make_model(832, 480, 16, 30), "SMALL", "draft", (512, 512)
    )
    assert chosen.sentence() == "592 x 352 pixels, draft, 5 steps, step cache taylor:2"


@pytest.mark.parametrize("picture", [(1920, 1080), (1080, 1920), (512, 512), (2048, 858), (1998, 1080)])
def test_camera_s_shape_is_the_render_s_at_nearly_the_model_s_pixels(addon, make_model, picture):
    info = make_model(832, 480, 16)
    chosen = addon("result_presets").result_settings(info, "CAMERA", "", picture)
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


def read_request(addon, job_id):
    """A take as its sheet says it is sent: the record in the scene, the sheet and the request."""
    take = addon("take_records").find_take(job_id).take
    sheet, order = addon("takes").read_order(addon("take_records").take_folder(take))
    mapping = addon("timeline").FrameMapping(1, 24, 24.0, 21)
    return take, sheet, addon("orders").build_request(order, mapping).request


def test_what_is_chosen_is_sent_and_kept_for_further_takes(blender, scene, shot, addon):
    scene.threedimo.size_preset = "SMALL"
    assert blender.ops.threedimo.choose_preset(preset="draft") == {"FINISHED"}
    first, again = str(uuid.uuid4()), str(uuid.uuid4())
    addon("dispatch").begin(scene, first)
    scene.threedimo.size_preset, scene.threedimo.preset = "MODEL", ""
    addon("dispatch").regenerate(first, 5, again)

    for job_id in (first, again):
        take, sheet, request = read_request(addon, job_id)
        assert take.made_as == "48 x 48 pixels, draft, 1 step, step cache taylor:2"
        assert (request.width, request.height, request.preset) == (48, 48, "draft")
        assert (request.num_inference_steps, request.step_cache) == (None, None)
    assert (sheet.seed, sheet.result.preset, sheet.result.num_inference_steps) == (5, "draft", 1)


def test_without_a_preset_the_model_s_own_steps_are_sent(scene, shot, addon):
    job_id = str(uuid.uuid4())
    addon("dispatch").begin(scene, job_id)
    take, _, request = read_request(addon, job_id)
    assert take.made_as == "64 x 64 pixels, 2 steps"
    assert (request.preset, request.num_inference_steps) == ("", 2)


def test_preset_that_the_model_has_not_is_refused_before_anything_is_made(
    blender, scene, shot, addon, tmp_path
):
    from threedimo.errors import InvalidRequest

    blender.ops.threedimo.choose_preset(preset="draft")
    blender.ops.threedimo.choose_model(model_id="large")
    with pytest.raises(InvalidRequest, match=r"large has no such preset \(given: draft\)\. Allowed: turbo"):
        addon("dispatch").begin(scene, str(uuid.uuid4()))
    assert len(scene.threedimo.shots) == 0
    assert not (tmp_path / "threedimo").exists()


def test_another_seed_goes_by_what_the_preset_means_by_now(scene, shot, addon, monkeypatch):
    from msgspec.structs import replace

    from threedimo.errors import InvalidRequest

    scene.threedimo.preset = "final"
    first, again = str(uuid.uuid4()), str(uuid.uuid4())
    addon("dispatch").begin(scene, first)
    told = addon("dispatch")._capabilities()
    (final,) = (preset for preset in told.models[0].presets if preset.name == "final")
    for presets in ([replace(final, num_inference_steps=8)], []):
        changed = replace(told, models=[replace(told.models[0], presets=presets)])
        monkeypatch.setattr(addon("dispatch"), "_capabilities", lambda changed=changed: changed)
        if presets:
            addon("dispatch").regenerate(first, 5, again)
    assert read_request(addon, again)[0].made_as == "64 x 64 pixels, final, 8 steps"
    with pytest.raises(InvalidRequest, match="tiny has no such preset"):
        addon("dispatch").regenerate(first, 6, str(uuid.uuid4()))


def test_take_of_another_size_is_another_take(scene, shot, addon):
    for size in ("MODEL", "SMALL", "SMALL"):
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


def test_take_from_before_there_were_presets_keeps_its_steps(scene, shot, addon):
    """Its sheet knows a number of steps only; one more is made with as many."""
    first, again = str(uuid.uuid4()), str(uuid.uuid4())
    addon("dispatch").begin(scene, first)
    file = addon("take_records").take_folder(addon("take_records").find_take(first).take) / "take.json"
    sheet = json.loads(file.read_text())
    sheet["result"] = {"width": 48, "height": 48, "num_inference_steps": 15}
    file.write_text(json.dumps(sheet))

    addon("dispatch").regenerate(first, 5, again)

    for job_id in (first, again):
        _, sheet, request = read_request(addon, job_id)
        assert sheet.result.sentence() == "48 x 48 pixels, 15 steps"
        assert (request.preset, request.num_inference_steps) == ("", 15)


@pytest.fixture
def connected(addon, server_says, monkeypatch):
    """The session that panels and menus ask, as after a server's welcome."""
    capabilities = addon("dispatch")._capabilities()
    session = SimpleNamespace(capabilities=capabilities, connected=True, problem=None, jobs={})
    with monkeypatch.context() as patch:
        patch.setattr(addon("runtime"), "_session", session)
        yield capabilities


@pytest.mark.parametrize(
    ("model_id", "preset", "says"),
    [
        ("", "draft", "64 x 64 pixels, draft, 1 step, step cache taylor:2"),
        ("", "", "64 x 64 pixels, 2 steps"),
        ("large", "draft", "Allowed: turbo"),
    ],
)
def test_panel_says_what_is_made(scene, shot, connected, drawn, model_id, preset, says):
    scene.threedimo.model_id, scene.threedimo.preset = model_id, preset
    assert says in drawn("panels", "THREEDIMO_PT_shot").text


@pytest.mark.parametrize(
    ("model_id", "preset", "labels"),
    [
        ("", "", ["Model's Own, 2 steps"]),
        ("", "standard", ["standard, 2 steps"]),
        ("large", "turbo", ["turbo, 4 steps"]),
        ("large", "draft", ["draft (not of this model)"]),
        ("grand", "draft", []),
    ],
)
def test_details_say_the_preset_and_offer_others(
    scene, addon, connected, new_drawing, model_id, preset, labels
):
    scene.threedimo.model_id, scene.threedimo.preset = model_id, preset
    layout = new_drawing()
    addon("preset_menu").draw_preset(layout, scene, connected)
    assert layout.labels == labels
    assert layout.menus == ["THREEDIMO_MT_preset"] * len(labels)


@pytest.mark.parametrize(
    ("model_id", "offered"),
    [
        (
            "",
            ["Model's Own, 2 steps", "draft, 1 step, step cache taylor:2", "final, 4 steps"],
        ),
        ("large", ["Model's Own, 2 steps", "turbo, 4 steps"]),
    ],
)
def test_menu_offers_what_the_scene_s_model_has_and_nothing_twice(scene, connected, drawn, model_id, offered):
    scene.threedimo.model_id = model_id
    assert drawn("preset_menu", "THREEDIMO_MT_preset").labels == offered
