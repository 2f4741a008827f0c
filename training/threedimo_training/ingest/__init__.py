"""Real footage: single-view, synchronised multi-view and moving-camera videos become samples.

footage.py         a video looked at so many times a second, in pieces of bounded memory
survey.py          how long it is and where its shots are cut
recordings.py      which videos belong together, their cameras and captions
plan.py            ingest.json: options and surveys, so that a second call goes on
tracking.py        the same people from frame to frame; who is meant
camera_check.py    whether the camera stands still, from the background
crops.py           one steady square for a clip; the camera seen through it
texts.py           the camera in words
views.py           one clip of one view, from all of these
ingest.py          the whole way, into shards
"""
