"""Samples on disk: WebDataset tars that any reader of that format takes, with an index and a data card.

A folder of shards:

    shard-00000.tar ...  plain (ustar) tars of a fixed number of samples; no owners, no times
    index.json           each shard's bytes, BLAKE2b-256, and counts (see `index`)
    render.json          the options that rendered the folder, where a renderer made it
    README.md            the data card (see `card`)

A sample, F frames of H x W pixels, is a run of members with one stem, its id:

    <id>.json            who, what, which camera in words (`facts.SampleFacts`)
    <id>.driving.mp4     H.264 4:4:4, a frame is a frame
    <id>.target.mp4      the same of the target, whose first frame is the reference image
    <id>.hands.mp4       driving hand crops, C x 2C: left hand, right hand; black where unseen (optional)
    <id>.npz             arrays, each twice, as `target_` and `driving_`; absent where unknown:
        world_from_camera (F,4,4) float64    metres, OpenCV camera, z up
        intrinsics        (F,3,3) float64    pixels of H x W
        joints_world      (F,54,3) float32   metres, order of `motion.skeleton.JOINT_NAMES`
        silhouette        (F,H,W) bool
        hand_boxes        (F,2,4) float32    left, top, right, bottom in pixels, left hand first, NaN unseen
        smpl_pose         (F,24,3) float32   axis-angle, root relative to the world
        mano_pose         (F,2,15,3) float32 axis-angle, left hand first

    facts.py           <id>.json as a typed record      video.py        frames <-> MP4 bytes
    arrays.py          named arrays <-> npz bytes       files.py        Sample <-> its members
    tar.py             where members lie in a shard     durable.py      files that are whole or not there
    index.py           index.json                       writer.py       samples -> shards
    reader.py          one shard in order, a folder at random
    streaming.py       a folder through `webdataset`, for many nodes
    render_options.py  render.json                      render_job.py   many shards, resumable
    shard_task.py      one shard, from its number       local_workers.py, ray_workers.py   who makes them
    progress.py        what a running job shows         card.py         README.md
    overlay.py         labels drawn on frames           show.py         contact sheet and film of samples
"""
