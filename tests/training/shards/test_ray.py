"""The same bytes from Ray."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from threedimo.errors import InvalidShard

# Not imported here: how it listens is decided when it is.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("ray") is None, reason="the extra `ray` is not installed"),
]


@pytest.fixture(autouse=True)
def _workers_find_the_program(monkeypatch):
    """What is drawn must be importable on every machine of a cluster."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent / "programs"))


def test_ray_makes_the_same_folder(render, tmp_path):
    render(tmp_path / "processes")
    _, shown = render(tmp_path / "ray", use_ray=True)
    assert "10 of 10 clips" in shown
    for file in (tmp_path / "processes").iterdir():
        assert file.read_bytes() == (tmp_path / "ray" / file.name).read_bytes()
    (tmp_path / "ray" / "shard-00001.tar").unlink()
    render(tmp_path / "ray", use_ray=True)
    assert _names(tmp_path / "ray") == _names(tmp_path / "processes")


def test_an_error_in_ray_is_our_own(render, stick_people, tmp_path):
    with pytest.raises(InvalidShard, match="role"):
        render(tmp_path / "out", draw=stick_people.draw_nonsense, use_ray=True)


def _names(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir()}
