"""Runs inside Blender's window and does what the tests outside ask: `blender -P agent.py -- SOCKET`.

One request a connection, a line of JSON each way: `{"code": ...}` is executed by a timer, as an add-on's own
code would be, with the names of this file, and `result` is what it leaves in that name. Beside that, every
tick of the extension and every drawing of its panels is timed.
"""

from __future__ import annotations

import importlib
import json
import socket
import sys
import time
import traceback
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy

MODULE = "bl_ext.user_default.threedimo"
_POLL_S = 0.02


class Stopwatch:
    """How long calls took: milliseconds on the clock and of the main thread's processor, by what went on."""

    def __init__(self) -> None:
        self.stage = ""
        self.calls: dict[str, list[tuple[float, float]]] = defaultdict(list)

    def timed(self, call: Callable[..., Any], kind: str) -> Callable[..., Any]:
        """The same function, timed while a stage is named."""

        def run(*arguments: Any) -> Any:
            began = time.perf_counter(), time.thread_time()
            try:
                return call(*arguments)
            finally:
                spent = time.perf_counter() - began[0], time.thread_time() - began[1]
                if self.stage:
                    self.calls[f"{kind}: {self.stage}"].append((1e3 * spent[0], 1e3 * spent[1]))

        return run


stopwatch = Stopwatch()


def addon(name: str) -> Any:
    """A module of the installed extension."""
    return importlib.import_module(f"{MODULE}.{name}")


def watch() -> None:
    """Time the ticks, and the panels as they are drawn."""
    runtime = addon("runtime")
    runtime.tick = stopwatch.timed(runtime.tick, "tick")
    for name in ("panels", "take_panels"):
        for panel in addon(name).CLASSES:
            panel.draw = _drawing(stopwatch.timed(panel.draw, "panel"))


def _drawing(draw: Callable[..., None]) -> Callable[[Any, Any], None]:
    """With exactly these two arguments: Blender counts them in the code, and crashes if there are others."""
    return lambda panel, context: draw(panel, context)


def view() -> tuple[Any, Any, Any]:
    """Window, area and main region of the 3D view."""
    window = bpy.context.window_manager.windows[0]
    area = next(area for area in window.screen.areas if area.type == "VIEW_3D")
    return window, area, next(region for region in area.regions if region.type == "WINDOW")


def point(x: int, y: int, *, click: bool = False) -> None:
    """Move the mouse to a place of the window, in pixels from its lower left, and click there if asked to."""
    window = bpy.context.window_manager.windows[0]
    window.event_simulate("MOUSEMOVE", "NOTHING", x=x, y=y)
    for value in ("PRESS", "RELEASE") if click else ():
        window.event_simulate("LEFTMOUSE", value, x=x, y=y)


def press(operator: str, **arguments: Any) -> None:
    """Call an operator as a button in the sidebar does."""
    group, _, name = operator.partition(".")
    window, area, _ = view()
    sidebar = next(region for region in area.regions if region.type == "UI")
    with bpy.context.temp_override(window=window, area=area, region=sidebar):
        getattr(getattr(bpy.ops, group), name)("INVOKE_DEFAULT", **arguments)


def _answer(request: dict[str, str]) -> dict[str, Any]:
    names = dict(globals())
    try:
        exec(compile(request["code"], "<test>", "exec"), names)
    except Exception:
        return {"error": traceback.format_exc()}
    return {"result": names.get("result")}


def _serve(listener: socket.socket) -> float:
    try:
        connection, _ = listener.accept()
    except BlockingIOError:
        return _POLL_S
    with connection:
        connection.settimeout(5.0)
        with connection.makefile("rw", encoding="utf-8") as stream:
            stream.write(json.dumps(_answer(json.loads(stream.readline()))) + "\n")
    return _POLL_S


def main() -> None:
    """Listen for as long as Blender runs."""
    bpy.context.preferences.view.show_splash = False
    # Under its own name, for the modules beside it.
    sys.modules["agent"] = sys.modules[__name__]
    sys.path.insert(0, str(Path(__file__).parent))
    address = Path(sys.argv[sys.argv.index("--") + 1])
    listener = socket.socket(socket.AF_UNIX)
    listener.setblocking(False)
    listener.bind(str(address))
    listener.listen()
    bpy.app.timers.register(lambda: _serve(listener), persistent=True)


main()
