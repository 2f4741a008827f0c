"""Cameras: paths, the vocabulary of moves, their description in words, and hints for the model."""

from threedimo.camera.describe import VOCABULARY, describe, split_words
from threedimo.camera.hints import HINT_NAMES, NUM_HINTS, camera_hints
from threedimo.camera.moves import MOVES, Amount, Move
from threedimo.camera.path import CameraPath
from threedimo.camera.tracks import Easing
from threedimo.camera.view import View

__all__ = [
    "HINT_NAMES",
    "MOVES",
    "NUM_HINTS",
    "VOCABULARY",
    "Amount",
    "CameraPath",
    "Easing",
    "Move",
    "View",
    "camera_hints",
    "describe",
    "split_words",
]
