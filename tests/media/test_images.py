import io

import numpy as np
import pytest
from PIL import Image

from threedimo.errors import EmptyMedia, MediaTooLarge, MediaTooSmall, UnreadableMedia
from threedimo.media import MediaLimits, probe_footage, read_image, write_png


def test_png_round_trip_and_bytes(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (21, 33, 3), dtype=np.uint8)
    write_png(tmp_path / "a.png", pixels)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), pixels)
    np.testing.assert_array_equal(read_image(str(tmp_path / "a.png")), pixels)
    np.testing.assert_array_equal(read_image((tmp_path / "a.png").read_bytes()), pixels)


def test_exif_rotation_is_applied(tmp_path):
    stored = np.zeros((20, 40, 3), np.uint8)
    stored[:10] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # show it turned clockwise by a quarter
    Image.fromarray(stored).save(tmp_path / "phone.jpg", exif=exif, quality=95)
    shown = read_image(tmp_path / "phone.jpg")
    assert shown.shape == (40, 20, 3)
    assert shown[:, 15].mean() > 250
    assert shown[:, 5].mean() < 5


def test_alpha_lies_over_mid_grey(tmp_path):
    pixels = np.zeros((16, 16, 4), np.uint8)
    pixels[:8] = (255, 0, 0, 255)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    shown = read_image(tmp_path / "a.png")
    assert shown[0, 0].tolist() == [255, 0, 0]
    assert shown[15, 0].tolist() == [128, 128, 128]


def test_transparent_palette(tmp_path):
    image = Image.new("P", (16, 16), 0)
    image.putpalette([0, 0, 0, 255, 255, 255])
    image.save(tmp_path / "p.png", transparency=0)
    assert read_image(tmp_path / "p.png")[3, 3].tolist() == [128, 128, 128]


@pytest.mark.parametrize("mode", ["L", "1", "LA", "CMYK"])
def test_modes_become_rgb(tmp_path, mode):
    Image.new("RGB", (16, 16), (255, 255, 255)).convert(mode).save(tmp_path / "a.tif")
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), 255)


def test_sixteen_bit_grey_keeps_its_shades(tmp_path):
    levels = np.linspace(0, 65535, 256).round().astype(np.uint16).reshape(16, 16)
    Image.fromarray(levels).save(tmp_path / "deep.png")
    np.testing.assert_array_equal(read_image(tmp_path / "deep.png")[..., 1].ravel(), np.arange(256))


def test_refusals(tmp_path):
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("hello")
    Image.new("RGB", (1, 1)).save(tmp_path / "dot.png")
    Image.new("F", (16, 16)).save(tmp_path / "float.tif")
    for name, error, words in [
        ("none.png", UnreadableMedia, "no file"),
        ("empty.png", EmptyMedia, "no bytes"),
        ("text.png", UnreadableMedia, "not a picture"),
        ("dot.png", MediaTooSmall, "1x1"),
        ("float.tif", UnreadableMedia, "floating-point"),
    ]:
        with pytest.raises(error, match=words):
            read_image(tmp_path / name)
    with pytest.raises(EmptyMedia):
        read_image(b"")


def test_truncated_picture(tmp_path):
    buffer = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(buffer, "PNG")
    with pytest.raises(UnreadableMedia, match="damaged"):
        read_image(buffer.getvalue()[:2000])
    for index in range(3):
        (tmp_path / f"{index}.png").write_bytes(buffer.getvalue()[: 2000 if index == 0 else None])
    with pytest.raises(UnreadableMedia, match=r"damaged.*0\.png"):
        probe_footage([tmp_path / f"{index}.png" for index in range(3)], fps=8.0)


def test_too_many_pixels_are_refused_from_the_header(tmp_path):
    Image.new("1", (20_000, 20_000)).save(tmp_path / "bomb.png")
    with pytest.raises(MediaTooLarge):
        read_image(tmp_path / "bomb.png")
    Image.new("RGB", (64, 64)).save(tmp_path / "a.png")
    with pytest.raises(MediaTooLarge, match="64x64"):
        read_image(tmp_path / "a.png", limits=MediaLimits(max_pixels=4095))
