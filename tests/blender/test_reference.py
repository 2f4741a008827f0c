"""The picture of the character: a file, an image of the .blend or the last render, kept as it was."""

from __future__ import annotations

import uuid

import numpy as np
import pytest

pytestmark = pytest.mark.blender

QUADRANTS = {(0, 0): (220, 30, 30), (0, 1): (30, 220, 30), (1, 0): (30, 30, 220), (1, 1): (128, 128, 128)}


@pytest.fixture
def shot(blender, scene, add_camera, server_says, tmp_path):
    """A saved scene that lacks nothing but the reference."""
    for name in ("woman.png", "walk.mp4"):
        (tmp_path / name).write_bytes(b"content")
    scene.threedimo.driving_footage = str(tmp_path / "walk.mp4")
    scene.frame_start, scene.frame_end = 1, 9
    blender.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"))
    return add_camera()


@pytest.fixture
def paint(blender):
    """An image of four colours that is nowhere on disk."""

    def make(name="Painted", is_float=False):
        image = blender.data.images.new(name, 8, 6, float_buffer=is_float)
        pixels = np.ones((6, 8, 4), np.float32)
        for (row, column), colour in QUADRANTS.items():
            # Blender begins below.
            rows, columns = slice(3 - 3 * row, 6 - 3 * row), slice(4 * column, 4 * column + 4)
            pixels[rows, columns, :3] = np.array(colour) / 255
        if is_float:  # such pixels are linear light
            low = pixels[..., :3] <= 0.04045
            linear = np.where(low, pixels[..., :3] / 12.92, ((pixels[..., :3] + 0.055) / 1.055) ** 2.4)
            pixels[..., :3] = linear
        image.pixels.foreach_set(pixels.ravel())
        return image

    return make


@pytest.fixture
def press(blender, scene, addon):
    """Generate as the button does; gives the take and the order that was queued."""

    def begin():
        job_id = str(uuid.uuid4())
        addon("dispatch").begin(blender.context.scene, job_id)
        take = addon("take_records").find_take(job_id).take
        return take, addon("takes").read_order(addon("take_records").take_folder(take))[1]

    return begin


def read(blender, path):
    image = blender.data.images.load(str(path), check_existing=False)
    width, height = image.size
    pixels = np.array(image.pixels[:]).reshape(height, width, 4)[::-1, :, :3] * 255
    blender.data.images.remove(image)
    return pixels


def looks_painted(pixels):
    assert pixels.shape == (6, 8, 3)
    for (row, column), colour in QUADRANTS.items():
        np.testing.assert_allclose(pixels[3 * row + 1, 4 * column + 1], colour, atol=1.5)


@pytest.mark.parametrize("is_float", [False, True])
def test_image_that_is_nowhere_on_disk_is_sent(blender, scene, shot, paint, press, is_float):
    settings = scene.threedimo
    settings.reference_source, settings.reference_datablock = "IMAGE", paint(is_float=is_float)
    before = sorted(image.name for image in blender.data.images)

    _, order = press()

    looks_painted(read(blender, order.reference_image))
    assert sorted(image.name for image in blender.data.images) == before


def test_take_keeps_the_picture_that_it_was_queued_with(blender, scene, shot, paint, press, addon):
    image = paint()
    scene.threedimo.reference_source, scene.threedimo.reference_datablock = "IMAGE", image
    take, first = press()
    again, _ = press()
    assert again.same_as == 1

    image.pixels.foreach_set(np.zeros(len(image.pixels), np.float32))
    changed, second = press()
    blender.data.images.remove(image)

    assert changed.same_as == 0
    assert first.reference_image != second.reference_image
    looks_painted(read(blender, first.reference_image))
    regenerated = str(uuid.uuid4())
    addon("dispatch").regenerate(take.job_id, 5, regenerated)
    folder = addon("take_records").take_folder(addon("take_records").find_take(regenerated).take)
    assert addon("takes").read_order(folder)[1].reference_image == first.reference_image


def test_picture_goes_with_the_last_take_that_was_made_of_it(blender, scene, shot, paint, press):
    scene.threedimo.reference_source, scene.threedimo.reference_datablock = "IMAGE", paint()
    (one, order), (two, _) = press(), press()
    one, two = one.job_id, two.job_id

    blender.ops.threedimo.delete_take(job_id=one, files=True)
    assert order.reference_image.exists()
    blender.ops.threedimo.delete_take(job_id=two, files=True)

    assert not order.reference_image.parent.exists()


def test_picture_moves_with_the_file(blender, scene, shot, paint, press, addon, tmp_path):
    scene.threedimo.reference_source, scene.threedimo.reference_datablock = "IMAGE", paint()
    take, order = press()
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    (tmp_path / "threedimo").rename(moved / "threedimo")

    _, found = addon("takes").read_order(moved / "threedimo" / take.job_id)

    assert found.reference_image == moved / order.reference_image.relative_to(tmp_path)
    looks_painted(read(blender, found.reference_image))


@pytest.mark.parametrize("view", ["Standard", "AgX"])
def test_render_is_sent_as_it_is_seen(blender, scene, shot, press, render, view):
    scene.view_settings.view_transform = view
    mesh = blender.data.meshes.new("Wall")
    mesh.from_pydata([(-9, -9, -2), (9, -9, -2), (9, 9, -2), (-9, 9, -2)], [], [(0, 1, 2, 3)])
    material = blender.data.materials.new("Wall")
    if material.node_tree is None:  # Blender 5 gives every material its nodes
        material.use_nodes = True
    material.node_tree.nodes.clear()
    emission = material.node_tree.nodes.new("ShaderNodeEmission")
    output = material.node_tree.nodes.new("ShaderNodeOutputMaterial")
    material.node_tree.links.new(emission.outputs[0], output.inputs["Surface"])
    emission.inputs["Color"].default_value = (0.5, 0.2, 0.05, 1.0)
    mesh.materials.append(material)
    scene.collection.objects.link(blender.data.objects.new("Wall", mesh))
    seen = render(1)
    assert seen[8, 8].max() > 50
    scene.render.image_settings.file_format = "OPEN_EXR"
    scene.threedimo.reference_source = "RENDER"

    (_, order), (again, _) = press(), press()

    np.testing.assert_allclose(read(blender, order.reference_image), seen, atol=1.5)
    assert scene.render.image_settings.file_format == "OPEN_EXR"
    assert again.same_as == 1, "no time stamp makes equal pictures different"


def test_what_cannot_be_a_reference_is_refused(blender, scene, shot, press, paint, addon, tmp_path):
    from threedimo.errors import UnreadableMedia

    def refusal():
        with pytest.raises(UnreadableMedia) as refused:
            press()
        return str(refused.value)

    settings = scene.threedimo
    settings.reference_source = "RENDER"
    assert "nothing was rendered yet" in refusal()
    assert "F12" in refusal()
    settings.reference_source = "IMAGE"
    assert "no reference image is chosen" in refusal()
    settings.reference_datablock = blender.data.images.load(str(tmp_path / "woman.png"))
    assert "the reference image has no pixels (given: woman.png)" in refusal()
    settings.reference_datablock = paint("Walk")
    settings.reference_datablock.source = "SEQUENCE"
    assert "no still picture (given: Walk: sequence)" in refusal()
    assert not (tmp_path / "threedimo").exists()


def test_render_of_an_earlier_session_is_no_render(blender, scene, shot, press, render, tmp_path):
    """Blender keeps the name in the file, and not the pixels."""
    from threedimo.errors import UnreadableMedia

    render(1)
    scene.threedimo.reference_source = "RENDER"
    (result,) = [image for image in blender.data.images if image.type == "RENDER_RESULT"]
    result.use_fake_user = True
    blender.ops.wm.save_mainfile()
    blender.ops.wm.open_mainfile(filepath=str(tmp_path / "shot.blend"))

    with pytest.raises(UnreadableMedia, match="nothing was rendered yet"):
        press()
    assert list((tmp_path / "threedimo").rglob("*.part")) == []


def test_folder_that_cannot_be_written_is_named(scene, shot, paint, press, tmp_path):
    from threedimo.errors import UnwritableFolder

    scene.threedimo.reference_source, scene.threedimo.reference_datablock = "IMAGE", paint()
    (tmp_path / "threedimo").write_text("in the way")

    with pytest.raises(UnwritableFolder, match="the reference image cannot be written"):
        press()


def test_panel_asks_for_what_each_source_needs(scene, drawn, addon, monkeypatch):
    shown = []
    drawing = type(drawn("panels", "THREEDIMO_PT_shot"))
    monkeypatch.setattr(drawing, "prop", lambda _self, _data, name, **_: shown.append(name))
    for source, inputs in (
        ("FILE", ["reference_image"]),
        ("IMAGE", ["reference_datablock"]),
        ("RENDER", []),
    ):
        shown.clear()
        scene.threedimo.reference_source = source
        drawn("panels", "THREEDIMO_PT_shot")
        assert [name for name in shown if name.startswith("reference")] == ["reference_source", *inputs]
