"""Who is in the footage, and who cannot be filmed."""

from __future__ import annotations

import numpy as np
import pytest

from .conftest import GREEN, SKIN, box_mesh, choose, outlines, seen

pytestmark = pytest.mark.blender


def test_armature_is_filmed_alone_with_what_it_deforms_and_carries(scene, anna, stranger, shoot, read):
    choose(scene, "OBJECT", anna)
    scene.render.fps = 24

    files = shoot()

    assert [file.name for file in files] == [f"{i:05d}.png" for i in range(9)]
    pictures = read(files)
    assert pictures.shape == (9, 384, 384, 3)
    green = (pictures[..., 1] > pictures[..., 0] + 60) & (pictures[..., 1] > pictures[..., 2] + 60)
    assert not green.any(), "somebody else is in the picture"
    red = (pictures[..., 0] > pictures[..., 1] + 60) & (pictures[..., 2] > pictures[..., 1] - 10)
    assert (red.sum(axis=(1, 2)) > 1000).all(), "the hat is missing"
    edges = outlines(pictures)
    assert edges.min() >= 5
    assert edges.max() <= 378
    height = edges[:, 3].max() - edges[:, 2].min()
    width = edges[:, 1].max() - edges[:, 0].min()
    assert max(width, height) > 0.85 * 384, "the person fills the picture"


@pytest.mark.parametrize("part", ["Anna trunk", "Anna arm"])
def test_mesh_that_is_clicked_stands_for_its_armature(scene, anna, stranger, addon, part):
    """Trunk and arm are told apart by who is their parent; both are deformed by the same armature."""
    performer_of_object = addon("performer").performer_of_object

    clicked = performer_of_object(scene, scene.objects[part])

    assert clicked == performer_of_object(scene, anna)
    assert {item.name for item in clicked.objects()} == {"Anna", "Anna trunk", "Anna arm", "Anna hat"}


def test_mesh_that_is_deformed_by_its_parent_stands_for_it(scene, anna, add_box, addon):
    """As older files have it: parented with its deformation, without a modifier."""
    coat = add_box("Coat", (-0.2, -0.2, 0.0), (0.2, 0.2, 1.0))
    coat.parent, coat.parent_type = anna, "ARMATURE"

    assert addon("performer").performer_of_object(scene, coat).name == "Anna"


def test_what_is_only_carried_or_whose_armature_is_elsewhere_is_filmed_by_itself(scene, anna, add_box, addon):
    performer_of_object = addon("performer").performer_of_object
    hat = scene.objects["Anna hat"]
    assert performer_of_object(scene, hat).objects() == [hat]

    trunk = scene.objects["Anna trunk"]
    scene.collection.objects.unlink(anna)

    assert performer_of_object(scene, trunk).objects() == [trunk]


def test_panel_says_what_is_filmed(scene, anna, stranger, addon, drawn):
    settings = scene.threedimo
    for chosen, says in (
        ("Anna", "Films all that Anna deforms or carries"),
        ("Anna arm", "Films all that Anna deforms or carries"),
        ("Bert", "Films Bert with its children"),
    ):
        choose(scene, "OBJECT", scene.objects[chosen])
        assert says in drawn("panels", "THREEDIMO_PT_shot").text
    settings.driving_object = None
    assert "Films" not in drawn("panels", "THREEDIMO_PT_shot").text


def test_collection_is_filmed_as_it_is_rendered(blender, scene, add_box, shoot, read):
    """A hidden object, a hidden inner collection and what is outside are not in the picture."""
    outer, inner = blender.data.collections.new("Cast"), blender.data.collections.new("Rig")
    scene.collection.children.link(outer)
    outer.children.link(inner)
    inner.hide_render = True
    body = add_box("Body", (-0.3, -0.2, 0.0), (0.3, 0.2, 1.7), SKIN, outer)
    add_box("Widget", (-3, -0.2, 0.0), (-2, 0.2, 1.0), GREEN, inner)
    add_box("Proxy", (2, -0.2, 0.0), (3, 0.2, 1.0), GREEN, outer).hide_render = True
    add_box("Elsewhere", (0.5, -0.2, 0.0), (1.5, 0.2, 1.0), GREEN)
    # What is hidden in the viewport alone is rendered, and so it is measured too.
    body.hide_viewport = True
    for frame, z in ((1, 0.0), (5, 0.5)):
        body.location.z = z
        body.keyframe_insert("location", frame=frame)
    choose(scene, "COLLECTION", outer)

    pictures = read(shoot(range(1, 6)))

    assert not ((pictures[..., 1] > pictures[..., 0] + 60) & (pictures[..., 1] > 100)).any()
    edges = outlines(pictures)
    assert edges.min() >= 5
    assert edges.max() <= 378
    assert edges[:, 3].max() - edges[:, 2].min() > 0.85 * 384
    assert (np.diff(edges[:, 2]) < 0).all(), "it rises"
    assert abs(edges[:, :2].mean() - 192) < 2


def test_instanced_collection_is_filmed(blender, scene, add_box, shoot, read):
    """A character that was linked from another file is an empty with a collection."""
    cast = blender.data.collections.new("Linked")
    add_box("Body", (-0.3, -0.2, 0.0), (0.3, 0.2, 1.7), SKIN, cast)
    empty = blender.data.objects.new("Character", None)
    empty.instance_type, empty.instance_collection = "COLLECTION", cast
    empty.location = (5.0, 0.0, 0.0)
    scene.collection.objects.link(empty)
    choose(scene, "OBJECT", empty)

    edges = outlines(read(shoot(range(1, 2))))

    assert edges[0, 3] - edges[0, 2] > 0.85 * 384


def test_who_is_hidden_for_some_frames_is_filmed(scene, anna, add_box, shoot, read):
    body = add_box("Body", (-0.3, -0.2, 0.0), (0.3, 0.2, 1.7))
    for frame, hidden in ((1, True), (3, False)):
        body.hide_render = hidden
        body.keyframe_insert("hide_render", frame=frame)
    scene.frame_set(1)
    choose(scene, "OBJECT", body)

    masks = seen(read(shoot(range(1, 5))))

    assert [bool(mask.any()) for mask in masks] == [False, False, True, True]


@pytest.fixture
def bad_driver(blender, scene, anna, add_box, add_camera):
    """Choose a driver that cannot be filmed."""
    data = blender.data

    def bare():
        armature = data.objects.new("Bare", data.armatures.new("Bare"))
        scene.collection.objects.link(armature)
        return armature

    def hidden():
        for name in ("Anna trunk", "Anna arm", "Anna hat"):
            scene.objects[name].hide_render = True
        return anna

    def hidden_collection():
        cast = data.collections.new("Cast")
        scene.collection.children.link(cast)
        add_box("Body", (0, 0, 0), (1, 1, 1), SKIN, cast)
        cast.hide_render = True
        return cast

    def elsewhere():
        return data.objects.new("Loose", box_mesh(blender, "Loose", (0, 0, 0), (1, 1, 1), SKIN))

    def edited():
        blender.context.view_layer.objects.active = anna
        blender.ops.object.mode_set(mode="EDIT")
        return anna

    def never_shown():
        body = add_box("Ghost", (0, 0, 0), (1, 1, 1))
        body.hide_render = True
        body.keyframe_insert("hide_render", frame=1)
        return body

    drivers = {
        "no object": ("OBJECT", lambda: None),
        "no collection": ("COLLECTION", lambda: None),
        "camera": ("OBJECT", add_camera),
        "bare armature": ("OBJECT", bare),
        "hidden": ("OBJECT", hidden),
        "hidden collection": ("COLLECTION", hidden_collection),
        "elsewhere": ("OBJECT", elsewhere),
        "collection elsewhere": ("COLLECTION", lambda: data.collections.new("Empty")),
        "edit mode": ("OBJECT", edited),
        "never shown": ("OBJECT", never_shown),
        "no size": ("OBJECT", lambda: add_box("Point", (0, 0, 0), (0, 0, 0))),
    }
    yield lambda case: choose(scene, drivers[case][0], drivers[case][1]())
    if blender.context.mode != "OBJECT":
        blender.ops.object.mode_set(mode="OBJECT")


@pytest.mark.parametrize(
    ("case", "says"),
    [
        ("no object", r"no object is chosen.*choose one under Driving"),
        ("no collection", r"no collection is chosen.*choose one under Driving"),
        ("camera", r"nothing of the driver can be seen.*Camera: camera.*Allowed: objects with a surface"),
        ("bare armature", r"nothing of the driver can be seen.*Bare: armature"),
        ("hidden", r"everything of the driver is hidden for render.*camera icon"),
        ("hidden collection", r"everything of the driver is hidden for render.*collections"),
        ("elsewhere", r"the driver is not in this scene.*Loose"),
        ("collection elsewhere", r"the driver is not in this scene.*Empty"),
        ("edit mode", r"in Edit Mode.*leave Edit Mode"),
        ("never shown", r"everything of the driver is hidden for render"),
        ("no size", r"no size that can be filmed"),
    ],
)
def test_driver_that_cannot_be_filmed_is_refused(scene, bad_driver, shoot, tmp_path, case, says):
    from threedimo.errors import InvalidScene

    bad_driver(case)

    with pytest.raises(InvalidScene, match=says) as refused:
        shoot(range(1, 3))

    assert refused.value.code == "data.scene"
    assert refused.value.remedy
    assert not any((tmp_path / "footage").glob("*"))
