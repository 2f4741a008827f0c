"""One sample and its members: which bytes carry which part, in both directions."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

import numpy as np

from threedimo.camera import CameraPath
from threedimo.errors import InvalidCameraPath, InvalidShard
from threedimo.media import DEFAULT_LIMITS
from threedimo_training.motion.skeleton import NUM_BODY_JOINTS, NUM_HAND_JOINTS, NUM_JOINTS
from threedimo_training.samples.sample import FilmedClip, Sample
from threedimo_training.shards.arrays import ArrayFile, encode_arrays
from threedimo_training.shards.facts import (
    FORMAT,
    VERSION,
    ClipFacts,
    Point,
    SampleFacts,
    decode_facts,
    encode_facts,
)
from threedimo_training.shards.video import decode_video, encode_video

FACTS, DRIVING, TARGET, HANDS, ARRAYS = "json", "driving.mp4", "target.mp4", "hands.mp4", "npz"
# In the order of writing; the record first, so that a reader of streams knows sizes before pixels come.
MEMBERS = (FACTS, DRIVING, TARGET, HANDS, ARRAYS)
REQUIRED_MEMBERS = (FACTS, DRIVING, TARGET, ARRAYS)
FIELDS = (
    *("driving_frames", "target_frames", "hand_crops", "paths", "joints_world", "silhouettes", "hand_boxes"),
    "poses",
)
CLIPS = ("target", "driving")
# The codec leaves a trace of a seen hand (8 at most, measured) in the black of an unseen one beside it.
_UNSEEN = 12
_FIELD_MEMBERS = {"driving_frames": DRIVING, "target_frames": TARGET, "hand_crops": HANDS}


def _layout(facts: SampleFacts, clip: str) -> dict[str, tuple[tuple[int, ...], type[np.generic]]]:
    """Shape and type of every array of one clip."""
    frames, size = facts.num_frames, facts.target if clip == "target" else facts.driving
    return {
        "world_from_camera": ((frames, 4, 4), np.float64),
        "intrinsics": ((frames, 3, 3), np.float64),
        "joints_world": ((frames, NUM_JOINTS, 3), np.float32),
        "silhouette": ((frames, size.height, size.width), np.bool_),
        "hand_boxes": ((frames, 2, 4), np.float32),
        "smpl_pose": ((frames, NUM_BODY_JOINTS, 3), np.float32),
        "mano_pose": ((frames, 2, NUM_HAND_JOINTS, 3), np.float32),
    }


def members_of(sample: Sample) -> dict[str, bytes]:
    """The members of a sample by kind, in the order of `MEMBERS`; the same sample gives the same bytes.

    Raises:
        InvalidShard: Its parts contradict each other or its contract (`samples.sample.Sample`).
    """
    facts = _facts_of(sample)
    where = f"sample {sample.sample_id!r}"
    for clip in (facts.driving, facts.target):
        _check_clip_bytes(where, facts.num_frames, clip.height, clip.width)
    members = {
        FACTS: encode_facts(facts),
        DRIVING: encode_video(sample.driving.frames, sample.fps),
        TARGET: encode_video(sample.target.frames, sample.fps),
    }
    if sample.hand_crops is not None:
        members[HANDS] = encode_video(np.concatenate([*sample.hand_crops.swapaxes(0, 1)], 2), sample.fps)
    arrays: dict[str, np.ndarray] = {}
    for name in CLIPS:
        layout = _layout(facts, name)
        for key, array in _arrays_of(sample.target if name == "target" else sample.driving).items():
            _check_array(sample, f"{name}_{key}", array, *layout[key])
            arrays[f"{name}_{key}"] = array
    decode_facts(members[FACTS], where)  # as strict with what is written as with what is read
    return members | {ARRAYS: encode_arrays(arrays)}


def _arrays_of(clip: FilmedClip) -> dict[str, np.ndarray]:
    known = {
        "world_from_camera": None if clip.path is None else clip.path.world_from_camera,
        "intrinsics": None if clip.path is None else clip.path.intrinsics,
        "joints_world": clip.joints_world,
        "silhouette": clip.silhouette,
        "hand_boxes": clip.hand_boxes,
        "smpl_pose": clip.smpl_pose,
        "mano_pose": clip.mano_pose,
    }
    return {key: array for key, array in known.items() if array is not None}


def _facts_of(sample: Sample) -> SampleFacts:
    num_frames = len(sample.target.frames)
    crops, crop_size = sample.hand_crops, None
    if crops is not None:
        crop_size = int(crops.shape[2])
        _check_array(sample, "hand_crops", crops, (num_frames, 2, crop_size, crop_size, 3), np.uint8)
    return SampleFacts(
        format=FORMAT,
        version=VERSION,
        sample_id=sample.sample_id,
        role=sample.role,
        motion_id=sample.motion_id,
        held_out=sample.held_out,
        fps=float(sample.fps),
        num_frames=num_frames,
        seed=sample.seed,
        source=sample.source,
        driving=_clip_facts(sample, sample.driving, num_frames),
        target=_clip_facts(sample, sample.target, num_frames),
        hand_crop_size=crop_size,
    )


def _clip_facts(sample: Sample, clip: FilmedClip, num_frames: int) -> ClipFacts:
    height, width = clip.frames.shape[1:3]
    _check_array(sample, "frames", clip.frames, (num_frames, height, width, 3), np.uint8)
    path = clip.path
    if path is None:
        return ClipFacts(clip.person_id, clip.text, width, height)
    given = path.num_frames, path.width, path.height, path.fps
    if given != (num_frames, width, height, float(sample.fps)):
        raise InvalidShard(
            f"sample {sample.sample_id!r} cannot be stored: its camera path belongs to another clip",
            given="{} frames of {}x{} pixels at {:g} fps".format(*given),
            allowed=f"{num_frames} frames of {width}x{height} pixels at {sample.fps:g} fps",
        )
    position, forward = _point(path.subject_position), _point(path.subject_forward)
    return ClipFacts(clip.person_id, clip.text, width, height, position, forward)


def _point(values: np.ndarray | None) -> Point | None:
    return None if values is None else (float(values[0]), float(values[1]), float(values[2]))


def _check_array(
    sample: Sample, name: str, array: np.ndarray, shape: tuple[int, ...], dtype: type[np.generic]
) -> None:
    if array.shape != shape or array.dtype != dtype:
        raise InvalidShard(
            f"sample {sample.sample_id!r} cannot be stored: {name} breaks its contract",
            given=f"{array.dtype} {array.shape}",
            allowed=f"{np.dtype(dtype)} {shape}",
        )


def _check_clip_bytes(where: str, num_frames: int, height: int, width: int) -> None:
    """Before memory is taken for any frame or silhouette."""
    if 3 * num_frames * height * width > DEFAULT_LIMITS.max_clip_bytes:
        raise InvalidShard(
            f"{where} announces a clip that is too large",
            given=f"{num_frames} frames of {width}x{height} pixels",
            allowed=f"{DEFAULT_LIMITS.max_clip_bytes} bytes",
        )


def members_for(fields: Collection[str]) -> tuple[str, ...]:
    """The kinds of members that these fields need, among `MEMBERS`.

    Raises:
        ValueError: A field is unknown.
    """
    unknown = sorted(set(fields) - set(FIELDS))
    if unknown:
        raise ValueError(f"unknown fields {unknown}; known are {', '.join(FIELDS)}")
    needed = {_FIELD_MEMBERS.get(field, ARRAYS) for field in fields}
    return tuple(kind for kind in MEMBERS if kind == FACTS or kind in needed)


def sample_of(
    read: Callable[[str], bytes | None], where: Mapping[str, str], fields: Collection[str] = FIELDS
) -> Sample:
    """Rebuild a sample from its members.

    Args:
        read: Gives the bytes of a kind of member, None where the sample has none.
        where: Shard and member for each kind, for the errors.
        fields: Which of `FIELDS` to decode. Frames that are not asked for are arrays of 0 frames, other parts
            None; ids, texts, role, rate and seed are always there.

    Raises:
        InvalidShard: A member is missing, damaged, or contradicts the record.
    """
    members_for(fields)
    facts = decode_facts(_required(read, FACTS, where), where[FACTS])
    return _Decoder(read, where, fields, facts).sample()


def _required(read: Callable[[str], bytes | None], kind: str, where: Mapping[str, str]) -> bytes:
    content = read(kind)
    if content is None:
        raise InvalidShard(f"{where[kind]} is missing", remedy="copy or make the shard again")
    return content


class _Decoder:
    """The parts of one sample, each decoded only if it is among the fields asked for."""

    def __init__(
        self,
        read: Callable[[str], bytes | None],
        where: Mapping[str, str],
        fields: Collection[str],
        facts: SampleFacts,
    ):
        self._read, self._where, self._fields, self._facts = read, where, fields, facts
        for clip in (facts.driving, facts.target):
            _check_clip_bytes(where[FACTS], facts.num_frames, clip.height, clip.width)
        names = {f"{clip}_{key}" for clip in CLIPS for key in _layout(facts, clip)}
        self._arrays = None
        if ARRAYS in members_for(fields):
            self._arrays = ArrayFile(_required(read, ARRAYS, where), names, where[ARRAYS])

    def sample(self) -> Sample:
        facts = self._facts
        return Sample(
            sample_id=facts.sample_id,
            role=facts.role,
            driving=self._clip("driving", facts.driving),
            target=self._clip("target", facts.target),
            fps=facts.fps,
            motion_id=facts.motion_id,
            held_out=facts.held_out,
            seed=facts.seed,
            source=facts.source,
            hand_crops=self._hand_crops(),
        )

    def _clip(self, name: str, facts: ClipFacts) -> FilmedClip:
        field, kind = f"{name}_frames", f"{name}.mp4"
        frames = np.empty((0, facts.height, facts.width, 3), np.uint8)
        if field in self._fields:
            frames = self._video(kind, facts.height, facts.width)
        return FilmedClip(
            frames=frames,
            person_id=facts.person_id,
            text=facts.text,
            path=self._path(name, facts),
            silhouette=self._array("silhouettes", name, "silhouette"),
            joints_world=self._array("joints_world", name, "joints_world"),
            hand_boxes=self._array("hand_boxes", name, "hand_boxes"),
            smpl_pose=self._array("poses", name, "smpl_pose"),
            mano_pose=self._array("poses", name, "mano_pose"),
        )

    def _video(self, kind: str, height: int, width: int) -> np.ndarray:
        shape = self._facts.num_frames, height, width
        return decode_video(_required(self._read, kind, self._where), shape, self._where[kind])

    def _hand_crops(self) -> np.ndarray | None:
        size = self._facts.hand_crop_size
        if size is None or "hand_crops" not in self._fields:
            return None
        _check_clip_bytes(self._where[FACTS], self._facts.num_frames, size, 2 * size)
        both = self._video(HANDS, size, 2 * size)
        crops = np.ascontiguousarray(both.reshape(-1, size, 2, size, 3).swapaxes(1, 2))
        crops[crops.max(axis=(2, 3, 4)) <= _UNSEEN] = 0
        return crops

    def _array(self, field: str, clip: str, key: str) -> np.ndarray | None:
        if self._arrays is None or field not in self._fields:
            return None
        return self._arrays.read(f"{clip}_{key}", *_layout(self._facts, clip)[key])

    def _path(self, clip: str, facts: ClipFacts) -> CameraPath | None:
        poses = self._array("paths", clip, "world_from_camera")
        intrinsics = self._array("paths", clip, "intrinsics")
        if poses is None or intrinsics is None:
            return None
        position = None if facts.subject_position is None else np.array(facts.subject_position)
        forward = None if facts.subject_forward is None else np.array(facts.subject_forward)
        try:
            return CameraPath(
                poses, intrinsics, facts.width, facts.height, self._facts.fps, position, forward
            )
        except InvalidCameraPath as error:
            raise InvalidShard(f"{self._where[ARRAYS]}: the {clip}'s camera: {error}") from error
