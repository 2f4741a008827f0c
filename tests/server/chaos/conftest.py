"""What chaos needs: sizes, figures that are told at the end, and looks into a home folder from outside."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

PROGRAMS = Path(__file__).parents[1] / "programs"


@dataclass
class Figures:
    """What was measured, for a person to read at the end of the run."""

    lines: list[str] = field(default_factory=list)

    def tell(self, line: str) -> None:
        self.lines.append(line)


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "chaos_figures"):
        config.chaos_figures = Figures()


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    lines = config.chaos_figures.lines
    if lines:
        terminalreporter.section("figures")
        for line in lines:
            terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def full(request: pytest.FixtureRequest) -> bool:
    """Whether to run at the size of the figures in server/README.md."""
    return request.config.getoption("--full")


@pytest.fixture(scope="session")
def tell(request: pytest.FixtureRequest) -> Callable[[str], None]:
    return request.config.chaos_figures.tell


@pytest.fixture
def run_program() -> Any:
    """Start one of the programs; what still runs at the end of the test is killed."""
    started: list[subprocess.Popen[str]] = []

    def start(name: str, *arguments: object) -> subprocess.Popen[str]:
        command = [sys.executable, str(PROGRAMS / name), *map(str, arguments)]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


@dataclass(frozen=True)
class Ledger:
    """What a server's home folder says, read without the server."""

    home: Path

    def published(self) -> set[str]:
        """The jobs whose results are there; may be asked while the server runs."""
        folder = self.home / "results"
        return {path.name for path in folder.iterdir() if not path.name.startswith(".")}

    def ask(self, question: str) -> list[tuple[Any, ...]]:
        """Look into the queue's database, which a running server keeps for itself."""
        with closing(sqlite3.connect(self.home / "jobs.sqlite")) as database:
            return database.execute(question).fetchall()

    def check_each_done_once(self, num_jobs: int) -> None:
        """Of a server that has stopped: every job ended well, once, with one result; nothing else is."""
        assert self.ask("PRAGMA integrity_check") == [("ok",)]
        states = dict(self.ask("SELECT state, count(*) FROM jobs GROUP BY state"))
        assert states == {"done": num_jobs}
        ends = self.ask("SELECT count(*), count(DISTINCT job_id) FROM events WHERE state = 'done'")
        assert ends == [(num_jobs, num_jobs)]
        job_ids = {row[0] for row in self.ask("SELECT job_id FROM results")}
        assert len(job_ids) == num_jobs
        assert self.published() == job_ids


@pytest.fixture
def ledger() -> Callable[[Path], Ledger]:
    return Ledger


@pytest.fixture
def used_mb() -> Callable[[int], float]:
    """Memory of a process, in MB."""
    return lambda pid: psutil.Process(pid).memory_info().rss / 1e6
