"""The zip itself: what is in it, what Blender's tool says of it, and that it installs and leaves cleanly."""

from __future__ import annotations

import importlib
import re
import runpy
import subprocess
import sys
import threading
import time
import tomllib
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.blender

PLATFORMS = {
    "windows-x64": ("win_amd64",),
    "macos-arm64": ("arm64", "universal2"),
    "macos-x64": ("x86_64", "universal2"),
    "linux-x64": ("x86_64",),
}


@pytest.fixture(scope="module")
def names(extension_zip):
    return zipfile.ZipFile(extension_zip).namelist()


@pytest.fixture(scope="module")
def manifest(extension_zip):
    return tomllib.loads(zipfile.ZipFile(extension_zip).read("blender_manifest.toml").decode())


def test_manifest_is_as_the_extensions_platform_wants_it(manifest, blender):
    tags = Path(blender.utils.resource_path("LOCAL")) / "scripts/modules/_bpy_internal/extensions/tags.py"
    official: dict[str, set[str]] = {}
    exec(tags.read_text(), official)

    assert manifest["id"] == "threedimo"
    assert manifest["license"] == ["SPDX:GPL-3.0-or-later"]
    assert set(manifest["tags"]) <= official["addons"]
    assert set(manifest["platforms"]) == set(PLATFORMS)
    for reason in manifest["permissions"].values():
        assert len(reason) <= 64
        assert not reason.endswith(".")


@pytest.mark.parametrize(
    ("field", "value"),
    [("license", ["SPDX:MIT"]), ("license", []), ("version", "0.0.1"), ("platforms", ["linux-x64"])],
)
def test_build_refuses_what_blenders_tool_lets_pass(manifest, field, value):
    check = runpy.run_path(str(Path(__file__).resolve().parents[2] / "tools" / "build_extension.py"))
    check["check_manifest"](manifest)

    with pytest.raises(SystemExit, match=field):
        check["check_manifest"](manifest | {field: value})


def test_licence_is_in_the_zip_and_in_every_file(extension_zip, names):
    with zipfile.ZipFile(extension_zip) as archive:
        assert "GNU GENERAL PUBLIC LICENSE" in archive.read("LICENSE").decode()
        sources = [name for name in names if name.endswith(".py")]
        assert len(sources) > 30
        for name in sources:
            first = archive.read(name).decode().splitlines()[0]
            assert first == "# SPDX-License-Identifier: GPL-3.0-or-later", name


def test_blenders_own_tool_finds_the_zip_valid(extension_zip, blender):
    scripts = Path(blender.utils.resource_path("LOCAL")) / "scripts"
    tool = scripts / "addons_core/bl_pkg/cli/blender_ext.py"
    tags = scripts / "modules/_bpy_internal/extensions/tags.py"

    done = subprocess.run(
        [sys.executable, str(tool), "validate", f"--valid-tags={tags}", str(extension_zip)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_zip_is_small_and_holds_nothing_heavy(extension_zip, names):
    assert extension_zip.stat().st_size < 20_000_000
    assert not [name for name in names if "torch" in name or "numpy" in name or "__pycache__" in name]
    assert "LICENSE" in names


@pytest.mark.parametrize("platform", sorted(PLATFORMS))
@pytest.mark.parametrize("python", ["3.11", "3.13"])
@pytest.mark.parametrize("package", ["pyzmq", "msgspec"])
def test_every_platform_and_python_has_its_wheel(manifest, names, package, python, platform):
    wheels = [wheel.removeprefix("./") for wheel in manifest["wheels"]]
    assert set(wheels) == {name for name in names if name.endswith(".whl")}
    minor = int(python.partition(".")[2])

    def fits(wheel: str) -> bool:
        python_tag, abi, platform_tag = wheel.removesuffix(".whl").split("-")[-3:]
        oldest = int(python_tag.removeprefix("cp3"))
        runs = oldest == minor or (abi == "abi3" and oldest <= minor)
        system = platform.partition("-")[0].replace("windows", "win").replace("macos", "macosx")
        return runs and system in platform_tag and platform_tag.endswith(PLATFORMS[platform])

    assert len([wheel for wheel in wheels if package in wheel and fits(wheel)]) == 1


def test_wheel_of_the_library_is_the_light_part_of_this_repository(extension_zip, names):
    root = Path(__file__).resolve().parents[2]
    (name,) = [name for name in names if name.startswith("wheels/threedimo-")]
    with zipfile.ZipFile(extension_zip) as outer, outer.open(name) as inner, zipfile.ZipFile(inner) as wheel:
        packed = {entry: wheel.read(entry) for entry in wheel.namelist() if entry.startswith("threedimo/")}

    assert {entry.split("/")[1] for entry in packed} == {
        "__init__.py",
        "errors.py",
        "version.py",
        "py.typed",
        "wire",
        "camera",
    }
    for entry, content in packed.items():
        assert content == (root / entry).read_bytes(), entry


@pytest.mark.parametrize(
    "package", ["zmq", "msgspec", "threedimo", "threedimo.wire.client", "threedimo.camera"]
)
def test_bundled_wheels_are_what_is_imported(installed, blender, package):
    found = Path(importlib.import_module(package).__file__)

    assert found.is_relative_to(blender.utils.user_resource("EXTENSIONS"))


def test_addon_registers_its_settings_and_operators(scene, blender):
    assert scene.threedimo.seed == 0
    assert {"generate", "queue", "cancel", "read_camera", "connect", "reattach"} <= set(
        dir(blender.ops.threedimo)
    )
    assert {"regenerate", "show_take", "step_take", "choose_take", "delete_take"} <= set(
        dir(blender.ops.threedimo)
    )


def test_panels_name_icons_and_operators_that_this_blender_has(installed, blender):
    """Panels are drawn in a window only; a wrong name there would leave the tab empty."""
    sources = "".join(path.read_text() for path in Path(installed.__file__).parent.glob("*panels.py"))
    icons = blender.types.UILayout.bl_rna.functions["label"].parameters["icon"].enum_items.keys()
    named = set(re.findall(r'"([A-Z]+(?:_[A-Z]+)+|[A-Z]{3,})"', sources)) - {
        "VIEW_3D",
        "DEFAULT_CLOSED",
        "OBJECT",
        "BAR",
        "WIREFRAME",
        "SOLID",
    }
    operators = set(re.findall(r'operator\("threedimo\.(\w+)"', sources))

    assert len(named) > 15
    assert named <= set(icons)
    assert len(operators) > 8
    assert operators <= set(dir(blender.ops.threedimo))


def threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("threedimo")]


def handlers(blender, module):
    """What the add-on listens to: the lists of Blender's handlers that hold a function of it."""
    return [
        (name, function.__name__)
        for name in dir(blender.app.handlers)
        if isinstance(getattr(blender.app.handlers, name), list)
        for function in getattr(blender.app.handlers, name)
        if getattr(function, "__module__", "").startswith(module)
    ]


def test_disabling_and_enabling_leaves_nothing_behind(scene, blender, addon, installed):
    scene.threedimo.seed = 7
    listening = handlers(blender, installed.__name__)
    assert len(listening) > 3
    addon("runtime").session().tidy(lambda: time.sleep(0.5))
    addon("runtime").tick()
    assert threads()

    for _ in range(2):
        timer = importlib.import_module(f"{installed.__name__}.runtime")._on_timer
        assert blender.app.timers.is_registered(timer)
        blender.ops.preferences.addon_disable(module=installed.__name__)
        assert not blender.app.timers.is_registered(timer)
        assert handlers(blender, installed.__name__) == []
        assert not hasattr(blender.types.Scene, "threedimo")
        assert not [name for name in dir(blender.types) if name.lower().startswith("threedimo")]
        assert not threads()
        blender.ops.preferences.addon_enable(module=installed.__name__)

    assert scene.threedimo.seed == 7
    assert handlers(blender, installed.__name__) == listening


def test_every_operator_is_documented_with_its_arguments(installed, blender):
    """And the other way round: the README names no argument that is not there."""
    guide = (Path(__file__).resolve().parents[2] / "blender_addon" / "README.md").read_text()
    table = guide.partition("\n## Every operator and setting\n")[2].partition("Settings of a scene")[0]
    rows = {}
    for line in table.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        for name in re.findall(r"`(\w+)`", cells[0]):
            rows[name] = set(re.findall(r"`(\w+)", cells[1])) if len(cells) > 1 else set()

    operators = [name for name in dir(blender.ops.threedimo) if not name.startswith("_")]
    assert len(operators) > 15
    for name in operators:
        properties = getattr(blender.ops.threedimo, name).get_rna_type().properties.keys()
        assert rows[name] == set(properties) - {"rna_type"}, name


def test_every_setting_is_documented(scene):
    guide = (Path(__file__).resolve().parents[2] / "blender_addon" / "README.md").read_text()
    table = guide.partition("Settings of a scene's shot")[2]
    made_by_the_addon = {"shots", "camera_read", "name", "rna_type"}

    settings = set(scene.threedimo.bl_rna.properties.keys()) - made_by_the_addon

    assert {name for name in settings if f"`{name}`" not in table} == set()
