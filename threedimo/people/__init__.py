"""The performer in driving footage: where the person is, and where the hands are.

hands.py       hands as the motion encoder reads them, and what locates them
following.py   a square that follows the performer smoothly
landmarks.py   the networks that find a person and its joints (models/); needs the extra `threedimo[people]`
performer.py   footage to frames and hands, by all of these; needs the extra too
"""
