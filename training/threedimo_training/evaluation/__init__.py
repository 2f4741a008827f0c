"""Does a model do what the paper claims? Measured on people, motions and cameras that no training has seen.

    commands.py         what the command line runs
    drawing.py          synthetic samples for the probe and for the evaluation
    held_out_clips.py   the clips, and for each another clip whose motion and camera serve as controls
    runs.py             the model's answers to a clip: the right inputs, and one of them wrong at a time
    metrics.py          pictures against pictures
    pose_angles.py      skeletons against skeletons, and where a camera stands around a person
    body_parts.py       which pixel shows which part of the body
    probe.py            the network that reads pose, camera and body parts from generated frames
    probe_frames.py     what the probe learns from
    probe_training.py   the loop that trains it
    measure.py          all metrics of one clip
    clip_records.py     results of single clips on disk
    intervals.py        means with confidence intervals
    evaluate.py         clip by clip, resumable, into one JSON file
    provenance.py       by what, on what and from what figures were made
    report.py           the same as one HTML page with pictures
    video_metrics.py    PSNR and SSIM of two folders of real videos

Every figure stands beside what it must be compared with: the same of wrong inputs, of the decoder alone, and
of true frames.
"""
