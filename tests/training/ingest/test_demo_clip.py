"""The whole way on a real film: two people in turn before a still camera, one of them on a roof."""

from __future__ import annotations

import io

import numpy as np
import pytest

from threedimo.errors import NoPerson
from threedimo.people.landmarks import PersonModels
from threedimo_training.ingest.footage import SampledVideo
from threedimo_training.ingest.ingest import ingest
from threedimo_training.ingest.tracking import PeopleTracker
from threedimo_training.shards.progress import RenderProgress
from threedimo_training.shards.reader import ShardFolder

OPTIONS = {"size": 128, "num_frames": 17, "fps": 7.5}


def test_both_people_are_found_where_they_are(demo_clip):
    video, tracker = SampledVideo.open(demo_clip, 7.5), PeopleTracker(PersonModels())
    for frame in video.frames(16, 24):
        tracker.add(frame)
    middles = sorted(
        tuple((0.5 * (box[:2] + box[2:])).round(-2).tolist())
        for box in (track.boxes().mean(axis=0) for track in tracker.tracks if len(track.seen) >= 6)
    )
    # seen by eye at 2 to 3 s: he stands on the roof, she walks in from the right
    assert np.abs(np.array(middles) - [[600, 300], [1300, 700]]).max() <= 100


def test_the_film_becomes_samples_of_a_still_camera(demo_clip, tmp_path):
    report = RenderProgress(io.StringIO())
    with pytest.raises(NoPerson, match=r"demo.mp4 shows several people \(given: 2 people about frame \d+"):
        ingest([demo_clip], output=tmp_path, report=report, **OPTIONS)
    # the same folder again, so that the survey is not repeated: whoever is on the roof
    assert ingest([demo_clip], output=tmp_path, report=report, people=(500, 0, 800, 450), **OPTIONS) >= 1
    sample = ShardFolder(tmp_path)[0]
    assert sample.role == "same_view"
    assert sample.target.text == "The camera remains static."
    assert sample.driving.hand_boxes is not None
    seen = ~np.isnan(sample.driving.hand_boxes[..., 0])
    assert seen.mean() > 0.8
    assert sample.hand_crops is not None
    assert sample.hand_crops[seen].std() > 10
