"""Finds a Blender, and keeps one open on a file: `inside_blender.py` as a process that is watched."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import shutil
import signal
import subprocess
import threading
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from threedimo.errors import DataError, InvalidScene, NoSpace
from threedimo.media.writing import storage_errors

INSIDE = Path(__file__).with_name("inside_blender.py")
MARK = "@threedimo "
# Exit statuses of `inside_blender.py`.
SCENE_PROBLEM, NO_SPACE = 3, 4
# Far longer than a frame of anything should take; a line comes after each.
SILENCE_S = 1800.0
_ANSWER_S = 120.0
_GOODBYE_S = 3.0
_LAST_LINES = 12
_REMEDY = "name a Blender program of version 4.2 or newer, or a Python with the module bpy, by --blender"


@dataclass(frozen=True)
class Blender:
    """A Blender that runs without a window: the program itself, or a Python with the module `bpy`."""

    path: str
    is_python: bool

    def command(self, blend: Path) -> list[str]:
        """The command line that opens a file and waits for tasks."""
        if self.is_python:
            return [self.path, str(INSIDE), str(blend)]
        switches = ["--background", "--factory-startup", "--disable-autoexec"]
        return [self.path, *switches, "--python", str(INSIDE), "--", str(blend)]


def find_blender(given: str | Path | None = None) -> Blender:
    """The Blender at a path, or else the program `blender` that the shell would find.

    Raises:
        DataError: There is none, or what is there is no Blender.
    """
    path = shutil.which("blender") if given is None else shutil.which(str(given))
    if path is None:
        problem = "no program called blender was found" if given is None else "there is no such program"
        raise DataError(problem, given=given, remedy=_REMEDY)
    answer = _ask([path, "--version"])
    if answer.startswith("Blender "):
        return Blender(path, is_python=False)
    if not answer.startswith("Python "):
        raise DataError("this program is no Blender", given=path, remedy=_REMEDY)
    if not _ask([path, "-c", "import importlib.util; print(importlib.util.find_spec('bpy') or '')"]).strip():
        raise DataError("this Python has no module bpy", given=path, remedy=_REMEDY)
    return Blender(path, is_python=True)


def _ask(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_ANSWER_S, errors="replace")
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout


class BlenderSession:
    """A Blender that has a file open and does one task after the other; starting it takes seconds, once.

    Args:
        blender: Which Blender.
        blend: The file. Scripts in it are never run.
        silence_s: How long Blender may say nothing before it counts as hanging.
    """

    def __init__(self, blender: Blender, blend: Path, *, silence_s: float = SILENCE_S):
        self._blend = blend
        self._silence_s = silence_s
        self._process = subprocess.Popen(
            blender.command(blend.resolve()),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._last: deque[str] = deque(maxlen=_LAST_LINES)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def do(self, plan: dict[str, Any], folder: Path, cameras: dict[str, np.ndarray] | None = None) -> None:
        """Do a plan of `inside_blender.py` and wait for it.

        Args:
            plan: The plan.
            folder: Where the results go; the plan is written there, too.
            cameras: Arrays of a plan that films.

        Raises:
            InvalidScene: The file cannot be used.
            NoSpace: The disk is full.
            DataError: Blender crashed or hangs; it is stopped then.
        """
        if self._process.stdin is None or self._process.stdin.closed:
            raise DataError(f"Blender has ended that had {self._blend} open", remedy="open the file again")
        plan_file = folder / f"{plan['task']}.json"
        with storage_errors(folder):
            plan_file.write_text(json.dumps(plan), encoding="utf-8")
            if cameras is not None:
                np.savez(plan_file.with_suffix(".npz"), **cameras)  # pyright: ignore[reportArgumentType]
        with contextlib.suppress(OSError):  # it has ended: what it said last tells why
            self._process.stdin.write(json.dumps([str(plan_file), str(folder)]) + "\n")
            self._process.stdin.flush()
        try:
            self._wait()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End Blender: its input ends, and after a few seconds it is stopped."""
        process = self._process
        if process.stdin is not None:
            with contextlib.suppress(OSError):
                process.stdin.close()
        self._reader.join(_GOODBYE_S)
        if self._reader.is_alive():
            # A Blender that was started through a script has the real program as its child.
            if os.name == "posix":
                os.killpg(process.pid, signal.SIGKILL)
            else:
                process.kill()
            self._reader.join()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def _wait(self) -> None:
        problem: dict[str, Any] = {}
        while True:
            try:
                line = self._lines.get(timeout=self._silence_s)
            except queue.Empty:
                raise DataError(
                    f"Blender has said nothing for {self._silence_s:g} s while it worked on {self._blend}",
                    given=f"its last lines: {'; '.join(self._last)}",
                    remedy="open the file in Blender and render a frame to see what takes so long",
                ) from None
            if line is None:
                raise self._end(problem)
            # Blender's own output may stand before the mark.
            _, mark, fact = line.partition(MARK)
            if not mark:
                self._last.extend([line.strip()] if line.strip() else [])
                continue
            event = json.loads(fact)
            if event["event"] == "done":
                return
            if event["event"] == "problem":
                problem = event

    def _end(self, problem: dict[str, Any]) -> DataError | NoSpace:
        status = self._process.wait()
        if status == SCENE_PROBLEM and problem:
            details = {key: problem[key] for key in ("given", "allowed", "remedy") if key in problem}
            return InvalidScene(f"{self._blend}: {problem['problem']}", **details)
        if status == NO_SPACE:
            return NoSpace(
                f"the disk is full: Blender cannot write what it rendered of {self._blend}",
                remedy="free some space where temporary files go (TMPDIR)",
            )
        return DataError(
            f"Blender stopped while it worked on {self._blend}",
            given=f"exit status {status}; its last lines: {'; '.join(self._last)}",
            remedy="try the file in Blender itself, another engine, or another version of Blender",
        )
