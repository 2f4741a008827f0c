"""Inside Blender's Python: a fresh user folder, the extension installed from the zip, an empty scene a test.

Nothing of the repository is imported: the tests see what a user's Blender sees. Without the module `bpy` this
folder has no tests.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import runpy
import shutil
import struct
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
REPOSITORY = "user_default"
_EXIT_STATUS = pytest.StashKey[int]()
MODULE = f"bl_ext.{REPOSITORY}.threedimo"

if importlib.util.find_spec("bpy") is None:
    collect_ignore_glob = ["test_*.py", "playblast"]
else:
    # `python -m pytest` puts the repository first, where it would hide the library inside the zip.
    sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != ROOT]


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    session.config.stash[_EXIT_STATUS] = int(exitstatus)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Leave without Blender's own end: bpy 4.2 crashes there if any operator in Python is registered."""
    if "bpy" in sys.modules:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(config.stash[_EXIT_STATUS])


@pytest.fixture(scope="session")
def extension_zip() -> Path:
    """The built zip."""
    version = runpy.run_path(str(ROOT / "threedimo" / "version.py"))["VERSION"]
    path = ROOT / "dist" / f"threedimo-{version}.zip"
    assert path.is_file(), f"{path} is not there: make extension builds it"
    return path


@pytest.fixture(scope="session")
def blender() -> Iterator[Any]:
    """The module bpy, with an empty folder in place of the user's own, which Blender reads once, at start."""
    folder = tempfile.mkdtemp(prefix="threedimo-blender-")
    os.environ["BLENDER_USER_RESOURCES"] = folder
    # A server that happens to run here is not this test's.
    os.environ["THREEDIMO_HOME"] = str(Path(folder) / "home")
    yield importlib.import_module("bpy")
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def installed(blender: Any, extension_zip: Path) -> ModuleType:
    """The add-on, installed from the zip and enabled by Blender's own operator."""
    blender.ops.extensions.package_install_files(
        filepath=str(extension_zip), repo=REPOSITORY, enable_on_install=True
    )
    return importlib.import_module(MODULE)


@pytest.fixture
def addon(installed: ModuleType) -> Callable[[str], ModuleType]:
    """Give a module of the installed add-on by its name."""
    return lambda name: importlib.import_module(f"{installed.__name__}.{name}")


@pytest.fixture
def scene(blender: Any, installed: ModuleType) -> Any:
    """The scene of a new, empty file, with pictures of 16x16."""
    blender.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    scene = blender.context.scene
    scene.view_settings.view_transform = "Standard"
    scene.render.resolution_x = scene.render.resolution_y = 16
    return scene


@pytest.fixture
def add_camera(blender: Any, scene: Any) -> Callable[..., Any]:
    """Add a camera to the scene and make it the scene's own."""

    def add(name: str = "Camera", **lens: Any) -> Any:
        data = blender.data.cameras.new(name)
        for key, value in lens.items():
            setattr(data, key, value)
        camera = blender.data.objects.new(name, data)
        scene.collection.objects.link(camera)
        scene.camera = camera
        return camera

    return add


@pytest.fixture
def camera(blender: Any, scene: Any, add_camera: Callable[..., Any], tmp_path: Path) -> Any:
    """A camera in a saved file with a shot of five frames."""
    blender.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"))
    scene.frame_start, scene.frame_end = 1, 5
    return add_camera()


@pytest.fixture
def write_picture() -> Callable[[Path, tuple[int, int, int], int, int], None]:
    """Write a PNG of one colour."""

    def write(path: Path, rgb: tuple[int, int, int], width: int = 8, height: int = 8) -> None:
        rows = (b"\0" + bytes(rgb) * width) * height
        parts = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))]
        parts += [(b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(
            b"\x89PNG\r\n\x1a\n"
            + b"".join(
                struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
                for kind, data in parts
            )
        )

    return write


class Drawing:
    """A layout that notes what is drawn into it: Blender draws in a window only.

    Attributes:
        labels: The texts, in order.
        operators: The buttons by their identifier, with what was set on them; the latest of each.
        bars: How far each progress bar is.
        icons: Of the texts, where they have one.
        menus: What opens a menu, by its identifier.
    """

    def __init__(self, parent: Drawing | None = None) -> None:
        self.labels: list[str] = parent.labels if parent else []
        self.operators: dict[str, SimpleNamespace] = parent.operators if parent else {}
        self.bars: list[float] = parent.bars if parent else []
        self.icons: list[str] = parent.icons if parent else []
        self.menus: list[str] = parent.menus if parent else []

    @property
    def text(self) -> str:
        """All labels as one line: where they are broken depends on the width."""
        return " ".join(self.labels)

    def label(self, *, text: str = "", icon: str = "NONE") -> None:
        self.labels.append(text)
        self.icons.append(icon)

    def prop(self, data: Any, name: str, **_: Any) -> None:
        known = data.bl_rna.properties if hasattr(data, "bl_rna") else data.__annotations__
        assert name in known

    def operator(self, identifier: str, text: str = "", **_: Any) -> SimpleNamespace:
        self.labels += [text] if text else []
        return self.operators.setdefault(identifier, SimpleNamespace())

    def menu(self, identifier: str, *, text: str) -> None:
        self.menus.append(identifier)
        self.labels.append(text)

    def operator_menu_enum(self, identifier: str, _property: str, **look: Any) -> SimpleNamespace:
        return self.operator(identifier, **look)

    def progress(self, *, factor: float, text: str, **_: Any) -> None:
        self.bars.append(factor)
        self.labels.append(text)

    def row(self, **_: Any) -> Drawing:
        return Drawing(self)

    column = box = row


@pytest.fixture
def new_drawing() -> type[Drawing]:
    """An empty layout, for what draws a part of a panel."""
    return Drawing


@pytest.fixture
def drawn(blender: Any, scene: Any, addon: Callable[[str], ModuleType]) -> Callable[[str, str], Drawing]:
    """Draw a panel as the sidebar would, and give what is in it."""

    def draw(module: str, name: str) -> Drawing:
        panel, layout = getattr(addon(module), name), Drawing()
        context = SimpleNamespace(
            scene=blender.context.scene,  # undo makes another one of it
            region=SimpleNamespace(width=2000),
            # Without a window the scale of the interface is 0.
            preferences=SimpleNamespace(system=SimpleNamespace(ui_scale=1.0)),
            space_data=SimpleNamespace(shading=SimpleNamespace(type="MATERIAL")),
        )
        own = {key: partial(value, None) for key, value in vars(panel).items() if key.startswith("_draw")}
        panel.draw(SimpleNamespace(layout=layout, **own), context)
        return layout

    return draw


@pytest.fixture
def asked(blender: Any, addon: Callable[[str], ModuleType]) -> Callable[..., Drawing]:
    """Draw the dialog of an operator, and give what is in it."""

    def draw(module: str, name: str, **properties: Any) -> Drawing:
        operator, layout = getattr(addon(module), name), Drawing()
        standing_in = SimpleNamespace(layout=layout, __annotations__=operator.__annotations__, **properties)
        operator.draw(standing_in, blender.context)
        return layout

    return draw


@pytest.fixture
def no_server(addon, tmp_path, monkeypatch) -> Iterator[None]:
    """A home without a server, and a session that knows nothing of earlier tests."""
    monkeypatch.setenv("THREEDIMO_HOME", str(tmp_path / "home"))
    addon("runtime").end_session()
    yield
    addon("runtime").end_session()


@pytest.fixture
def server_says(addon: Callable[[str], ModuleType], no_server: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a server can do, without one: jobs are prepared, and wait for a connection."""
    import msgspec

    from threedimo.wire.messages import Capabilities, ModelInfo, Preset

    def preset(name: str, steps: int, cache: str = "none") -> Preset:
        return Preset(
            name=name,
            num_inference_steps=steps,
            text_guidance_scale=1.0,
            motion_guidance_scale=1.0,
            step_cache=cache,
        )

    model = ModelInfo(
        id="tiny",
        trained=True,
        width=64,
        height=64,
        num_frames=5,
        max_frames=33,
        fps=24.0,
        frame_step=4,
        size_step=8,
        num_inference_steps=2,
        text_guidance_scale=1.0,
        motion_guidance_scale=1.0,
        presets=[preset("draft", 1, "taylor:2"), preset("standard", 2), preset("final", 4)],
    )
    large = msgspec.structs.replace(
        model, id="large", trained=False, width=128, fps=8.0, presets=[preset("turbo", 4)]
    )
    capabilities = Capabilities(server_version="1", models=[model, large], devices=["cpu"])
    monkeypatch.setattr(addon("dispatch"), "_capabilities", lambda: capabilities)


@pytest.fixture
def leave_take(scene, addon, tmp_path, write_picture, no_server) -> Callable[..., Any]:
    """Leave a take as an earlier session did: its files on disk, its record in the scene, and no more."""
    num_left = 0

    def leave(
        camera: Any,
        *,
        paint: Callable[[int], tuple[int, int, int]] = lambda frame: (10 * frame, 0, 0),
        scene_frames: range = range(1, 49),
        num_frames: int = 17,
        state: str = "running",
        seed: int = 0,
        is_cut: bool = False,
    ) -> Any:
        nonlocal num_left
        num_left += 1
        job_id = f"0f0e0d0c-1111-4222-8333-{num_left:012d}"
        folder = tmp_path / "threedimo" / job_id
        for name in ("woman.png", "walk.mp4"):
            (tmp_path / name).write_bytes(b"content")
        shot = addon("shots").Shot(scene, camera, "Shot", scene_frames, is_cut)
        mapping = addon("timeline").FrameMapping(scene_frames.start, len(scene_frames), 24.0, num_frames)
        order = addon("orders").Order(
            reference_image=tmp_path / "woman.png",
            driving_files=(tmp_path / "walk.mp4",),
            driving_fps=None,
            driving_start_s=0.0,
            text="Front view.",
            camera_path=addon("shots").read_camera(shot),
            seed=seed,
            model_id="tiny",
        )
        addon("takes").write_take(folder, job_id, order, mapping, {})
        if state not in ("preparing", "sending"):
            for frame in range(num_frames):
                write_picture(folder / "result" / "frames" / f"{frame:05d}.png", paint(frame), 16, 16)
            (folder / "result" / "result.json").write_text('{"model_id": "tiny", "seed": 0}')
        job = addon("jobs").Job(job_id, "Scene Shot", folder, mapping, state)
        records = addon("take_records")
        records.add_take(scene, job, records.ShotKey("Shot", camera, is_cut))
        return job

    return leave


@pytest.fixture
def render(blender: Any, scene: Any, tmp_path: Path) -> Callable[..., Any]:
    """Render a scene frame and give its pixels, `(height, width, 3)` from 0 to 255, top row first."""
    import numpy as np

    def shoot(scene_frame: int, engine: str = "CYCLES", size: tuple[int, int] = (16, 16)) -> Any:
        scene.render.resolution_x, scene.render.resolution_y = size
        scene.render.engine = engine
        scene.render.image_settings.file_format = "PNG"
        if engine == "CYCLES":
            scene.cycles.samples = 1
            scene.cycles.use_denoising = False
            # Without the filter a pixel is what lies under it.
            scene.cycles.pixel_filter_type = "BOX"
            scene.cycles.filter_width = 0.01
        else:
            scene.display.shading.light = "FLAT"
            scene.display.shading.color_type = "TEXTURE"
        scene.frame_set(scene_frame)
        scene.render.filepath = str(tmp_path / f"render-{engine}-{scene_frame}.png")
        blender.ops.render.render(write_still=True)
        image = blender.data.images.load(scene.render.filepath)
        pixels = np.array(image.pixels[:]).reshape(size[1], size[0], 4)[::-1, :, :3] * 255
        blender.data.images.remove(image)
        return pixels

    return shoot
