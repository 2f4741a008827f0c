"""Videos into shards: survey, clips, samples; what is finished is not done again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import permutations
from pathlib import Path

import msgspec

from threedimo.errors import InvalidRequest, MediaTooSmall, NoPerson, ThreeDimoError
from threedimo.media import MIN_SIDE_PX
from threedimo.media.writing import storage_errors
from threedimo.people.landmarks import PersonModels
from threedimo_training.ingest.plan import IngestPlan, SurveyedRecording, adopt_plan, write_plan
from threedimo_training.ingest.recordings import Recording, open_recordings
from threedimo_training.ingest.survey import clip_starts, survey
from threedimo_training.ingest.tracking import ClipLeftOut, People, check_people
from threedimo_training.ingest.views import ClipOptions, take_view
from threedimo_training.motion.held_out import is_held_out
from threedimo_training.samples.sample import Sample
from threedimo_training.shards.card import check_card, write_card
from threedimo_training.shards.durable import PART_PATTERN
from threedimo_training.shards.facts import MAX_SIDE_PX
from threedimo_training.shards.index import INDEX_FILE, index_folder, read_index, shard_files
from threedimo_training.shards.progress import RenderProgress
from threedimo_training.shards.tar import scan
from threedimo_training.shards.writer import SHARD_SAMPLES, write_shards

MAX_CLIP_FRAMES = 4096
"""At 512 x 512 pixels, the frames of one sample are 3 GB then."""


def ingest(
    videos: Sequence[Path],
    *,
    output: Path,
    size: int,
    num_frames: int,
    fps: float,
    report: RenderProgress,
    cameras: Path | None = None,
    synchronised: bool = False,
    people: People = "one",
    captioner: str | None = None,
    hand_size: int = 32,
    shard_samples: int = SHARD_SAMPLES,
) -> int:
    """Bring people's own footage into a folder of shards, going on where an earlier call stopped.

    Single views become "same_view" samples (driver and target are the same pixels, as in the paper's first
    stage) where the camera stands still, and "moving_camera" samples where it moves. Synchronised views
    become a sample for each ordered pair: "cross_view" where both stand still, "moving_camera" where the
    target's moves; a moving driver with a still target has no role and is not made. Each shot is cut into
    clips from its beginning. A clip that cannot be taken is left out, and the report says which and why.

    All clips of a recording count as one person, `footage-<name>`, and are held out together, by the hash of
    that name (`motion.held_out`).

    Args:
        videos: The files.
        output: Folder of shards; new, or begun by an earlier call with the same options.
        size: Width and height of the samples in pixels. Footage is never enlarged.
        num_frames: Frames of a clip.
        fps: Frames per second of the samples; no more than the videos have.
        report: Shows how far it is.
        cameras: JSON that maps file names to camera paths; see `recordings`.
        synchronised: Whether the videos are views of one performance, in step from their first frames on.
        people: "one" refuses several people, "largest" takes the largest, a box (left, top, right, bottom in
            pixels of the video) takes whoever is inside.
        captioner: Command that prints one line for a contact sheet whose path is its last argument; see
            `texts` for what else a text may come from.
        hand_size: Width and height of the hand crops in pixels.
        shard_samples: Samples of a shard.

    Returns:
        How many samples were added.

    Raises:
        InvalidRequest: An option is out of range or not what the folder was begun with.
        MediaError: A video is missing, damaged, truncated, or shorter than one clip.
        InvalidCameraPath: A camera file cannot be used, or ends before its video.
        NoPerson: A recording shows nobody in any clip, or several people and "one" was asked for.
        DataError: A caption file or the captioner cannot be used.
        UnwritableFolder, NoSpace: The folder cannot be written; finished shards stay valid.
    """
    options = _checked(size, num_frames, fps, hand_size, people, captioner)
    with storage_errors(output):
        output.mkdir(parents=True, exist_ok=True)
    check_card(output)
    plan = adopt_plan(output, size=size, num_frames=num_frames, fps=options.fps)
    recordings = open_recordings(videos, cameras, options.fps, synchronised)
    finished = _finished_ids(output)
    for recording in recordings:
        plan = _surveyed(recording, plan, report)
        write_plan(output, plan)
    job = _Job(recordings, plan, options, finished, report)
    added = write_shards(job.samples(), output, shard_samples=shard_samples)
    if shard_files(output):
        write_card(output)
    if job.failure is not None:
        raise job.failure
    return sum(entry.samples for entry in added)


class _Job:
    """Draws the samples of all recordings, in order."""

    def __init__(
        self,
        recordings: Sequence[Recording],
        plan: IngestPlan,
        options: ClipOptions,
        finished: set[str],
        report: RenderProgress,
    ):
        self.failure: ThreeDimoError | None = None
        self._options, self._finished, self._report = options, finished, report
        self._starts: list[tuple[Recording, list[int]]] = []
        for recording in recordings:
            known = plan.recordings[recording.name]
            self._starts.append((recording, clip_starts(known.num_frames, known.cuts, options.num_frames)))
        self._clips_done = sum(self._num_done(*each) for each in self._starts)
        self._models: PersonModels | None = None

    def samples(self) -> Iterator[Sample]:
        """All samples that are not finished; ends early with `failure` set, so that what is there is kept."""
        self._report.begin(self._clips_done, sum(len(starts) for _, starts in self._starts))
        try:
            for recording, starts in self._starts:
                yield from self._of_recording(recording, starts)
        except ThreeDimoError as error:
            self.failure = error

    def _num_done(self, recording: Recording, starts: list[int]) -> int:
        """Clips up to the last one with a finished sample; those between were left out."""
        done = [
            i for i, start in enumerate(starts, 1) if self._finished & set(_ids(recording, start).values())
        ]
        return max(done, default=0)

    def _of_recording(self, recording: Recording, starts: list[int]) -> Iterator[Sample]:
        done = self._num_done(recording, starts)
        somebody = done > 0
        # the pairs of the last clip may lie on both sides of a shard's end, and only one shard be there
        for start in starts[max(0, done - 1) if len(recording.views) > 1 else done :]:
            try:
                for sample in self._of_clip(recording, start):
                    somebody = True
                    if sample.sample_id not in self._finished:
                        yield sample
            except ClipLeftOut as reason:
                somebody |= not reason.nobody
                self._report.note(f"{recording.name}, clip from frame {start}: left out, {reason}")
            if starts.index(start) >= done:
                self._clips_done += 1
                self._report.clips(self._clips_done)
        if not somebody:
            raise NoPerson(
                f"nobody is seen in any of the {len(starts)} clips",
                given=", ".join(view.video.path.name for view in recording.views),
                remedy="check that the person is a quarter of the picture tall, or leave the video out",
            )

    def _of_clip(self, recording: Recording, start: int) -> Iterator[Sample]:
        if self._models is None:
            self._models = PersonModels()
        models, person = self._models, f"footage-{recording.name}"
        taken = [take_view(view, start, self._options, models, person) for view in recording.views]
        for (driver, target), sample_id in _ids(recording, start).items():
            role = _role(driver == target, taken[driver].moves, taken[target].moves)
            if role is not None:
                yield Sample(
                    sample_id=sample_id,
                    role=role,
                    driving=taken[driver].clip,
                    target=taken[target].clip,
                    fps=self._options.fps,
                    motion_id=f"footage-{recording.name}-{start:06d}",
                    held_out=is_held_out("identity", person),
                    seed=0,
                    source="footage",
                    hand_crops=taken[driver].hand_crops,
                )


def _ids(recording: Recording, start: int) -> dict[tuple[int, int], str]:
    """Sample ids of one clip, by the driver's and the target's view: one view, or all ordered pairs."""
    views = recording.views
    if len(views) == 1:
        return {(0, 0): f"{views[0].name}-{start:06d}"}
    pairs = permutations(range(len(views)), 2)
    return {(i, j): f"{views[i].name}--{views[j].name}-{start:06d}" for i, j in pairs}


def _role(is_one_view: bool, driver_moves: bool, target_moves: bool) -> str | None:
    if target_moves:
        return "moving_camera"
    if is_one_view:
        return "same_view"
    return None if driver_moves else "cross_view"


def _surveyed(recording: Recording, plan: IngestPlan, report: RenderProgress) -> IngestPlan:
    """The plan with this recording in it, which is looked through unless the plan knows it."""
    files = tuple(view.video.path.name for view in recording.views)
    sizes = tuple(view.video.path.stat().st_size for view in recording.views)
    known = plan.recordings.get(recording.name)
    if known is not None:
        if (known.files, known.bytes) != (files, sizes):
            raise InvalidRequest(
                "the folder holds another video of this name",
                given=f"{', '.join(files)}, {sum(sizes)} bytes",
                allowed=f"{', '.join(known.files)}, {sum(known.bytes)} bytes",
                remedy="rename the video, or choose another folder",
            )
        return plan
    lengths, cuts = [], set[int]()
    for view in recording.views:
        report.note(f"{view.video.path.name}: looking for cuts in {view.video.info.duration_s:.1f} s")
        length, found = survey(view.video, plan.num_frames)
        lengths.append(length)
        cuts |= set(found)
    length = min(lengths)
    found = tuple(sorted(cut for cut in cuts if cut < length))
    surveyed = SurveyedRecording(files, sizes, length, found)
    if not clip_starts(length, found, plan.num_frames):
        raise MediaTooSmall(
            f"no shot of {', '.join(files)} is as long as one clip",
            given=f"{len(found) + 1} shots in {length} frames",
            allowed=f"a shot of at least {plan.num_frames} frames",
            remedy="choose fewer frames a clip, or leave the video out",
        )
    return msgspec.structs.replace(plan, recordings=plan.recordings | {recording.name: surveyed})


def _finished_ids(output: Path) -> set[str]:
    """Ids of all samples in the folder, after what a kill left behind is cleared away."""
    with storage_errors(output):
        for part in output.glob(PART_PATTERN):
            part.unlink()
    files = shard_files(output)
    listed = {entry.name for entry in read_index(output)} if (output / INDEX_FILE).exists() else set()
    if {file.name for file in files} - listed:
        # finished in the moment before the kill
        index_folder(output)
    return {packed.sample_id for file in files for packed in scan(file)}


def _checked(
    size: int, num_frames: int, fps: float, hand_size: int, people: People, captioner: str | None
) -> ClipOptions:
    for name, value, lowest, highest in (
        ("size", size, MIN_SIDE_PX, MAX_SIDE_PX),
        ("hand_size", hand_size, MIN_SIDE_PX, MAX_SIDE_PX),
        ("num_frames", num_frames, 2, MAX_CLIP_FRAMES),
        ("fps", fps, 1, 240),
    ):
        if not lowest <= value <= highest:
            raise InvalidRequest(f"{name} is out of range", given=value, allowed=f"{lowest} to {highest}")
    check_people(people)
    return ClipOptions(size, num_frames, float(fps), hand_size, people, captioner)
