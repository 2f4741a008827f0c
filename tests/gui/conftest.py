"""Blender's real window on a virtual screen, in a folder that holds a Debian of its own (`make_chroot.sh`).

The server runs outside, from `.venv`, as a user's would; both find each other by one home folder.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
CHROOT = ROOT / ".cache" / "blender-window"
OUTPUT = ROOT / "out" / "gui"
FILM = "film"  # the folder of this run, at the root of the Debian
SIZE_PX = (1280, 1060)  # tall enough for the whole sidebar
START_S = 120.0
PATIENCE_S = 180.0
NUM_FRAMES = 48
_MARGIN_PX = 10
_TABS_PX = 30  # the sidebar's tabs, on its right
# What software rendering asks for, and a user who has never started Blender.
ENVIRONMENT = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",  # stays, with the shaders that were compiled once
    "LANG": "C.UTF-8",
    "LIBGL_ALWAYS_SOFTWARE": "1",
    "GALLIUM_DRIVER": "llvmpipe",
    "XDG_RUNTIME_DIR": "/tmp",
    "BLENDER_USER_RESOURCES": f"/{FILM}/blender",
    "THREEDIMO_HOME": f"/{FILM}/home",
}

_TABLE = pytest.StashKey[list[str]]()


def inside(*command: str, **options: Any) -> subprocess.Popen[bytes]:
    """Start a program of the Debian in there."""
    return subprocess.Popen(["chroot", str(CHROOT), *command], **options)


class Server:
    """`threedimo serve` with the embedded model, and the same once more under another name for the menu."""

    def __init__(self, home: Path):
        self.home = home
        self._process: subprocess.Popen[bytes] | None = None
        home.mkdir()
        embedded, twin = ROOT / "threedimo" / "embedded", home / "twin"
        shutil.copytree(embedded, twin)
        facts = json.loads((embedded / "threedimo.json").read_text())
        (twin / "threedimo.json").write_text(json.dumps(facts | {"id": "threedimo-embedded-twin"}))
        (home / "server.toml").write_text(f'[[models]]\nmodel = "embedded"\n\n[[models]]\nmodel = "{twin}"\n')

    def start(self) -> None:
        (self.home / "connection.json").unlink(missing_ok=True)  # of one that was killed
        log = self.home / "server.log"
        with log.open("ab") as stream:
            self._process = subprocess.Popen(
                [ROOT / ".venv" / "bin" / "threedimo", "serve", "--device", "cpu"],
                env=os.environ | {"THREEDIMO_HOME": str(self.home)},
                stdout=stream,
                stderr=stream,
                start_new_session=True,  # so that it can be stopped and killed with its workers
            )
        deadline = time.monotonic() + START_S
        while not (self.home / "connection.json").exists():
            assert self._process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        os.killpg(self._process.pid, number)

    def kill(self) -> None:
        """As a crash or a power cut would; its connection file stays."""
        self.signal(signal.SIGKILL)
        self.stopped()

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self.stopped()

    def stopped(self) -> None:
        assert self._process is not None
        self._process.wait(timeout=PATIENCE_S)


class Window:
    """Blender with its window: asked through a socket, seen through pictures of the screen.

    Attributes:
        folder: The run's folder as this side sees it; Blender sees it as `/film`.
    """

    def __init__(self, folder: Path, display: str):
        self.folder = folder
        self._display = display
        self._log = (folder / "blender.log").open("ab")
        agent = f"/{FILM}/inside/agent.py"
        geometry = ("--window-geometry", "0", "0", *map(str, SIZE_PX))
        self._process = inside(
            *("blender", "--factory-startup", "--enable-event-simulate", *geometry),
            *("-P", agent, "--", f"/{FILM}/agent.sock"),
            env=ENVIRONMENT | {"DISPLAY": display},
            stdout=self._log,
            stderr=self._log,
        )
        self._wait(lambda: (folder / "agent.sock").exists(), START_S, "the window")

    def run(self, code: str) -> Any:
        """Execute code in Blender, and give what it leaves in `result`."""
        try:
            answer = self._request(code)
        except ConnectionError:
            self._process.wait(timeout=PATIENCE_S)
            pytest.fail(f"Blender ended with {self._process.returncode} at: {code}\n{self._last_words()}")
        assert "error" not in answer, answer["error"]
        return answer["result"]

    def _request(self, code: str) -> dict[str, Any]:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(PATIENCE_S)
            connection.connect(str(self.folder / "agent.sock"))
            with connection.makefile("rw", encoding="utf-8") as stream:
                stream.write(json.dumps({"code": code}) + "\n")
                stream.flush()
                return json.loads(stream.readline())

    def ask(self, expression: str) -> Any:
        return self.run(f"result = {expression}")

    def wait_for(self, expression: str, patience_s: float = PATIENCE_S) -> None:
        self._wait(lambda: self.ask(f"bool({expression})"), patience_s, expression)

    def redraw(self, kind: Literal["WINDOW", "UI"]) -> None:
        """Let Blender draw the view or the sidebar; on a software screen the view takes seconds."""
        self.run(f"for r in view()[1].regions: r.type == {kind!r} and r.tag_redraw()")
        time.sleep(1)
        self.ask("1")  # answered between two drawings
        time.sleep(0.5)

    def screen(self) -> Image.Image:
        """What is on the screen."""
        picture = self.folder / "screen.png"
        command = f"xwd -root -silent -display {self._display} | convert xwd:- png:/{FILM}/screen.png"
        assert inside("sh", "-c", command, env=ENVIRONMENT).wait(timeout=PATIENCE_S) == 0
        with Image.open(picture) as image:
            return image.convert("RGB")

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time the ticks meanwhile; ten a second, also where there is nothing to do."""
        self.run(f"stopwatch.stage = {name!r}; addon('runtime').IDLE_INTERVAL_S = 0.1")
        yield
        self.run("stopwatch.stage = ''; addon('runtime').IDLE_INTERVAL_S = 1.0")

    def shoot(self, name: str, what: Literal["window", "panel", "preferences"]) -> None:
        """Take a picture: all of the window as it is at this moment, or a part of it once that is drawn."""
        if what == "window":
            self.screen().save(OUTPUT / f"blender-{name}.jpg", quality=88)
            return
        if what == "panel":
            self.redraw("UI")
        kind = "UI" if what == "panel" else "WINDOW"
        picture = self.screen().crop(self.region(kind))
        trimmed(picture).save(OUTPUT / f"blender-{name}.png", optimize=True)

    @contextmanager
    def unfolded(self, from_last: int) -> Iterator[None]:
        """Unfold a panel of the sidebar, counted from the last; it and those below it are folded."""
        self.redraw("UI")
        left, top, right, bottom = self.region("UI")
        height = trimmed(self.screen().crop((left, top, right, bottom))).height
        x, y = left + 60, SIZE_PX[1] - (top + height - _MARGIN_PX - 13 - 26 * from_last)
        self.run(f"point({x}, {y}, click=True)")
        yield
        self.run(f"point({x}, {y}, click=True)")
        self.redraw("UI")

    def region(self, kind: str) -> tuple[int, int, int, int]:
        """Left, top, right, bottom of a region of the 3D view, in pixels of the screen."""
        x, y, width, height = self.ask(
            "next([r.x, r.y, r.width, r.height]"
            " for a in bpy.context.window_manager.windows[0].screen.areas for r in a.regions"
            f" if a.type in ('VIEW_3D', 'PREFERENCES') and r.type == {kind!r})"
        )
        return x, SIZE_PX[1] - y - height, x + width, SIZE_PX[1] - y

    def command_line(self, *arguments: str) -> tuple[int, str]:
        """Another Blender, without a window, on the saved film: the exit status and what was said."""
        log = self.folder / "command.log"
        command = ("blender", "-b", f"/{FILM}/film.blend", "--command", "threedimo", *arguments)
        with log.open("wb") as stream:
            status = inside(*command, env=ENVIRONMENT, stdout=stream, stderr=stream).wait(timeout=600)
        return status, log.read_text()

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(timeout=PATIENCE_S)
        self._log.close()

    def _last_words(self) -> str:
        return (self.folder / "blender.log").read_text("utf-8", "replace")[-3000:]

    def _wait(self, holds: Callable[[], bool], patience_s: float, what: str) -> None:
        deadline = time.monotonic() + patience_s
        while not holds():
            assert self._process.poll() is None, f"Blender ended: {self._last_words()}"
            assert time.monotonic() < deadline, f"{what}: not within {patience_s:.0f} s. {self._last_words()}"
            time.sleep(0.2)


def trimmed(panel: Image.Image) -> Image.Image:
    """A sidebar without the empty part below its panels."""
    pixels = np.asarray(panel).astype(int)[:, :-_TABS_PX]
    empty = pixels[-_MARGIN_PX, pixels.shape[1] // 2]
    filled = np.abs(pixels - empty).max(axis=2).max(axis=1) > 8
    last = int(np.flatnonzero(filled[:-_MARGIN_PX])[-1])
    return panel.crop((0, 0, panel.width, min(last + _MARGIN_PX, panel.height)))


@dataclass(frozen=True)
class Spread:
    """Milliseconds."""

    p50: float
    p99: float
    max: float

    @classmethod
    def of(cls, values_ms: np.ndarray) -> Spread:
        """Of some measured calls."""
        return cls(
            *(round(float(value), 3) for value in (*np.percentile(values_ms, (50, 99)), values_ms.max()))
        )


@dataclass(frozen=True)
class Figures:
    """How long the calls of one kind took while one thing went on.

    Attributes:
        what: For example "tick: the server is frozen".
        num_calls: How many were measured.
        cpu_ms: Of the main thread's processor.
        clock_ms: From beginning to end, with what other programs took meanwhile.
    """

    what: str
    num_calls: int
    cpu_ms: Spread
    clock_ms: Spread


def figures_of(calls: Mapping[str, Sequence[Sequence[float]]]) -> list[Figures]:
    """From the pairs of milliseconds (clock, processor) of each kind of call."""
    ticks = [
        pair for what in calls if what.startswith("tick") and "filmed" not in what for pair in calls[what]
    ]
    found = []
    for what, pairs in {**calls, "tick: all but filming": ticks}.items():
        clock, cpu = np.array(pairs).T
        found.append(Figures(what, len(pairs), Spread.of(cpu), Spread.of(clock)))
    return found


def table(found: Sequence[Figures]) -> list[str]:
    """As lines for a terminal."""
    lines = [f"{'milliseconds':<48}{'calls':>6}   {'processor p50/p99/max':>24} {'clock p50/p99/max':>26}"]
    for each in found:
        cpu, clock = (f"{s.p50:.2f} / {s.p99:.2f} / {s.max:.1f}" for s in (each.cpu_ms, each.clock_ms))
        lines.append(f"{each.what:<48}{each.num_calls:>6}   {cpu:>24} {clock:>26}")
    return lines


def write_figures(found: Sequence[Figures], blender_version: str, file: Path) -> None:
    """With what they were measured on."""
    machine = {
        "blender": blender_version,
        "processors": os.cpu_count(),
        "load_average": [round(load, 1) for load in os.getloadavg()],
    }
    file.write_text(json.dumps({**machine, "figures": [asdict(each) for each in found]}, indent=2) + "\n")


@pytest.fixture(scope="session")
def film() -> Path:
    """The folder of this run inside the Debian, with the inputs of the shot and the built zip."""
    if not (CHROOT / "usr" / "bin" / "blender").exists():
        pytest.fail(f"{CHROOT} holds no Blender: `make gui-test` makes it")
    folder = CHROOT / FILM
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(ROOT / "tests" / "gui" / "inside", folder / "inside")
    (folder / "blender").mkdir()
    (CHROOT / "tmp" / ".X11-unix").mkdir(mode=0o1777, exist_ok=True)
    (zipped,) = (ROOT / "dist").glob("threedimo-*.zip")
    shutil.copy(zipped, folder / "threedimo.zip")
    for name in ("reference.png", "driving.mp4"):
        shutil.copy(ROOT / "threedimo" / "embedded" / "demo" / name, folder / name)
    write_dancer(folder / "dancer.npz")
    OUTPUT.mkdir(parents=True, exist_ok=True)
    return folder


def write_dancer(file: Path) -> None:
    """An animated person as points: (F, V, 3) metres around the origin, (T, 3) faces, (V, 3) colours."""
    from threedimo_training.motion.planting import place
    from threedimo_training.motion.procedural import procedural_motion
    from threedimo_training.people.export import mesh_of
    from threedimo_training.people.looks import make_person

    person = make_person(4)
    points = person.skinned(place(procedural_motion(14, NUM_FRAMES, 24.0), person))
    points[..., :2] -= points[0, :, :2].mean(axis=0)
    mesh = mesh_of(person)
    colours = np.asarray(mesh.visual.vertex_colors)[:, :3] / 255.0
    np.savez(file, points=points, faces=person.faces, colours=colours)


@pytest.fixture(scope="session")
def display(film: Path) -> Iterator[str]:
    """A virtual screen."""
    size = "x".join(map(str, SIZE_PX))
    process = inside(
        *("Xvfb", "-displayfd", "1", "-screen", "0", f"{size}x24", "+extension", "GLX", "-nolisten", "tcp"),
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdout is not None
    number = process.stdout.readline().decode().strip()
    assert number, "Xvfb did not start"
    yield f":{number}"
    process.terminate()
    process.communicate(timeout=PATIENCE_S)


@pytest.fixture(scope="session")
def server(film: Path) -> Iterator[Server]:
    """A server that is not started yet."""
    server = Server(film / "home")
    yield server
    server.stop()


@pytest.fixture(scope="session")
def window(film: Path, display: str) -> Iterator[Window]:
    """Blender's window."""
    window = Window(film, display)
    yield window
    window.close()


@pytest.fixture(scope="session")
def tick_figures(window: Window, request: pytest.FixtureRequest) -> list[Figures]:
    """What was measured so far, also written to ticks.json and at the end of the run."""
    found = figures_of(window.ask("dict(stopwatch.calls)"))
    write_figures(found, window.ask("bpy.app.version_string"), OUTPUT / "ticks.json")
    request.config.stash[_TABLE] = table(found)
    return found


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    for line in config.stash.get(_TABLE, []):
        terminalreporter.write_line(line)
