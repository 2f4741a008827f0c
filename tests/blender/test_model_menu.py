"""A server with several models: which of them makes a shot, and what the panel says of it."""

from __future__ import annotations

import uuid

import pytest

pytestmark = pytest.mark.blender


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


@pytest.fixture
def models(addon, server_says):
    """What the server announces."""
    return addon("dispatch")._capabilities()


def begin(scene, addon):
    """Press the button, and give the take's sheet and how many frames it has."""
    job_id = str(uuid.uuid4())
    addon("dispatch").begin(scene, job_id)
    take = addon("take_records").find_take(job_id).take
    return take, addon("takes").read_sheet(addon("take_records").take_folder(take))


def test_first_model_makes_what_no_other_was_chosen_for(scene, shot, addon):
    _, sheet = begin(scene, addon)
    assert (sheet.model_id, sheet.num_frames) == ("tiny", 21)


def test_chosen_model_makes_the_shot_at_its_own_length(blender, scene, shot, addon):
    assert blender.ops.threedimo.choose_model(model_id="large") == {"FINISHED"}
    _, sheet = begin(scene, addon)
    assert (sheet.model_id, sheet.num_frames) == ("large", 9)
    _, order = addon("takes").read_order(addon("take_records").take_folder(scene.threedimo.shots[0].takes[0]))
    assert order.model_id == "large"


def test_another_seed_of_a_take_is_made_by_the_take_s_own_model(blender, scene, shot, addon):
    blender.ops.threedimo.choose_model(model_id="large")
    take, _ = begin(scene, addon)
    blender.ops.threedimo.choose_model(model_id="")
    again = str(uuid.uuid4())
    addon("dispatch").regenerate(take.job_id, 5, again)
    found = addon("take_records").find_take(again).take
    sheet = addon("takes").read_sheet(addon("take_records").take_folder(found))
    assert (sheet.model_id, sheet.seed, sheet.num_frames) == ("large", 5, 9)


def test_model_that_the_server_lacks_is_refused_before_anything_is_made(blender, scene, shot, addon):
    from threedimo.errors import ModelNotFound

    blender.ops.threedimo.choose_model(model_id="grand")
    with pytest.raises(ModelNotFound, match=r"given: grand\)\. Allowed: tiny, large"):
        begin(scene, addon)
    assert len(scene.threedimo.shots) == 0


@pytest.mark.parametrize(
    ("model_id", "num_models", "says"),
    [
        ("", 1, "Model: tiny, 64 x 64"),
        ("", 2, "tiny, 64 x 64"),
        ("large", 2, "large, 128 x 64 (not trained)"),
        ("grand", 1, "grand (not on this server)"),
    ],
)
def test_panel_says_which_model_and_offers_others(
    scene, addon, models, new_drawing, model_id, num_models, says
):
    from msgspec.structs import replace

    scene.threedimo.model_id = model_id
    layout = new_drawing()
    addon("model_menu").draw_model(layout, scene, replace(models, models=models.models[:num_models]))
    offers = not says.startswith("Model")
    assert layout.labels == (["Model:", says] if offers else [says])
    assert layout.menus == (["THREEDIMO_MT_model"] if offers else [])
