"""`threedimo demo` as a person runs it first: the embedded model and the packaged inputs, offline."""

import os
import subprocess
import sys

import msgspec
import numpy as np

from threedimo.media import probe_video, read_footage, read_image
from threedimo.wire.messages import ResultInfo


def test_demo(tmp_path):
    output = tmp_path / "demo"
    done = subprocess.run(
        [sys.executable, "-m", "threedimo_server.cli", "demo", "--output", str(output)],
        env=os.environ | {"THREEDIMO_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "home").exists(), "the demo leaves the user's own state alone"
    info = msgspec.json.decode((output / "result.json").read_bytes(), type=ResultInfo)
    names = sorted(path.name for path in (output / "frames").iterdir())
    assert names == [f"{index:05d}.png" for index in range(info.num_frames)]
    frames = np.stack([read_image(output / "frames" / name) for name in names])
    assert frames.shape == (info.num_frames, info.height, info.width, 3)
    assert np.abs(np.diff(frames.astype(int), axis=0)).mean() > 0.5, "something moves"

    video = probe_video(output / "video.mp4")
    assert (video.num_frames, video.width, video.height) == (info.num_frames, info.width, info.height)
    decoded = read_footage(
        [output / "video.mp4"], fps=None, start_s=0, num_frames=info.num_frames, sample_fps=info.fps
    )
    assert np.abs(decoded.astype(int) - frames).mean() < 8, "the video shows the frames"
    assert read_image(output / "contact_sheet.png").shape[1] > 500

    assert info.text
    assert str(output / "contact_sheet.png") in done.stdout
    assert "can and cannot do:" in done.stdout
