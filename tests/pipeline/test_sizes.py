from __future__ import annotations

import math

import msgspec
import pytest

from tests.pipeline.test_shot import INFO
from threedimo.errors import InvalidRequest, UnsupportedSize
from threedimo.shot import Shot
from threedimo.wire.sizes import ASPECTS, check_size, read_size, size_of_aspect, sizes_of

EMBEDDED = msgspec.structs.replace(INFO, width=64, height=64, size_step=8)


@pytest.mark.parametrize("info", [INFO, EMBEDDED])
@pytest.mark.parametrize("name", ASPECTS)
def test_every_common_shape_has_a_size_near_the_trained_area(info, name):
    width, height = sizes_of(info)[name]
    check_size(width, height, info)
    across, down = map(int, name.split(":"))
    assert abs(math.log(width / height * down / across)) < 0.2
    assert 0.8 < width * height / (info.width * info.height) < 1.25


def test_common_shapes_of_480p():
    assert sizes_of(INFO)["16:9"] == (832, 480)
    assert sizes_of(INFO)["9:16"] == (480, 832)
    assert sizes_of(INFO)["1:1"] == (640, 640)
    assert sizes_of(EMBEDDED)["1:1"] == (64, 64)


def test_a_standing_shape_is_the_lying_one_turned():
    for aspect in (1.0, 1.3, 1.7, 2.4, 3.9):
        assert size_of_aspect(INFO, 1 / aspect) == size_of_aspect(INFO, aspect)[::-1]


def test_the_models_own_size_is_that_of_its_shape():
    for width, height in ((832, 480), (480, 832), (1280, 704)):
        info = msgspec.structs.replace(INFO, width=width, height=height)
        assert size_of_aspect(info, width / height) == (width, height)


@pytest.mark.parametrize(
    ("text", "size"), [("480x832", (480, 832)), ("9:16", (480, 832)), ("4:1", (1280, 320))]
)
def test_sizes_are_read_as_people_write_them(text, size):
    assert read_size(text, INFO) == size


@pytest.mark.parametrize("text", ["480", "480 x 832", "480X832", "0x480", "5:1", "1:0", "wide", "", "٤:٣"])
def test_what_is_no_size_is_said(text):
    with pytest.raises(InvalidRequest, match=r"this is no size.*16:9"):
        read_size(text, INFO)


@pytest.mark.parametrize(
    ("width", "height", "says"),
    [
        (830, 480, r"multiples of 32.*choose 832x480\.$"),
        (832, 470, r"multiples of 32.*choose 832x480\.$"),
        (1000, 500, r"choose 992x512, or in the trained area 896x448\.$"),
        (0, 480, r"multiples of 32.*choose 320x1248\.$"),
        (832, -32, r"multiples of 32.*choose 1280x320\.$"),
        (416, 256, r"too small.*made for 832x480.*199680 to 798720 pixels.*choose 800x512\.$"),
        (1280, 704, r"too large.*199680 to 798720 pixels.*choose 832x480\.$"),
        (704, 1280, r"too large.*choose 480x832\.$"),
        (1920, 320, r"too long.*up to 4:1.*choose 1280x320\.$"),
    ],
)
def test_other_sizes_are_refused_with_the_nearest(width, height, says):
    with pytest.raises(UnsupportedSize, match=says) as caught:
        Shot.checked(INFO, width=width, height=height)
    for named in (
        str(caught.value)
        .rpartition("choose ")[2]
        .rstrip(".")
        .replace("or in the trained area ", "")
        .split(", ")
    ):
        check_size(*map(int, named.split("x")), INFO)


def test_a_standing_shot_is_made_and_its_camera_fits(make, camera_path):
    frames = make(9, width=16, height=48, camera_path=camera_path).frames
    assert frames.shape == (9, 48, 16, 3)
