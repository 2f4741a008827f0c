"""What `threedimo --help` and its commands say beside their options."""

EPILOG = """\
A first look, offline and on any machine:
  threedimo demo

One shot:
  threedimo generate --reference woman.png --drive dance.mp4 --camera-path camera.json --output shots/010

All shots of a list, overnight:
  threedimo batch shots.json --output shots

From one picture, and from one shaky clip:
  threedimo novel-views woman.png --turn 90
  threedimo stabilize shaky.mp4

Exit codes:
  0 done               5 request cannot be made   9 asset damaged or missing
  1 internal error     6 model                   10 disk
  2 wrong usage        7 server                  11 job failed or unknown
  3 media              8 protocol               130 interrupted or cancelled
  4 camera

Errors are one paragraph on standard error: threedimo: error [code]: what is wrong, and what to do.
The server keeps its queue and results in the folder THREEDIMO_HOME (otherwise ~/.threedimo).
"""

BATCH_DESCRIPTION = """\
Queues all shots of a list at once, and collects them as they come: FOLDER/NAME/ as `generate` writes a shot.
Every shot is checked before any is sent; one that fails does not hold up the others. Stopped in whatever way,
the same command goes on: it finds what the server has made meanwhile, and makes nothing twice. Ctrl-C cancels
what is not done. Uses the running server; without one, starts a server with the embedded model. With --engine
ray the shots are made on the GPUs of a Ray cluster, with the model that is named here; a worker that is lost
is replaced, and its shot made again.
"""

BATCH_EPILOG = """\
The list, with paths relative to it:
  {"shots": [
    {"name": "010", "reference": "woman.png", "drive": "dance.mp4", "camera_path": "camera_010.json"},
    {"name": "020", "reference": "woman.png", "drive": ["a.png", "b.png"], "drive_fps": 12,
     "drive_start": 0, "text": "Front view.", "frames": 17, "fps": 8, "preset": "draft", "seed": 3}
  ]}
Fields but `name` are options of `threedimo generate`, and can be left out where it has a default.

Examples:
  threedimo batch shots.json --output shots
  threedimo batch shots.json --output shots --engine ray --ray-address 10.0.0.5:6379 --model models/dancer
"""

NOVEL_VIEWS_DESCRIPTION = """\
Makes one shot for each view of a picture, in which only the camera moves, and a sheet of all of them. Uses
the running server; without one, starts a server with the embedded model for this command alone. Interrupted,
it keeps the views that are done, and the same command makes the rest.
"""

NOVEL_VIEWS_EPILOG = """\
Examples:
  threedimo novel-views woman.png
  threedimo novel-views woman.png --turn 90 --output out/woman
  threedimo novel-views profile.jpg --seen-from left --views arc_right:90 zoom_in up:0.5
  threedimo novel-views woman.png --views arc_left:360 --frames 65

The folder holds contact_sheet.png, views/NAME/ (each as `generate` writes a shot), cameras/NAME.json (for
--camera-path of `generate`), reference.png and views.json. Until all is done it is called FOLDER.unfinished.
"""

STABILIZE_DESCRIPTION = """\
Makes a shot in which the person of a shaky clip's first frame does what the clip shows, before a camera that
stays, and a sheet of before and after. The whole clip is made, long ones window by window. Uses the running
server; without one, starts a server with the embedded model for this command alone. Ctrl-C cancels the job.
"""

STABILIZE_EPILOG = """\
Examples:
  threedimo stabilize shaky.mp4
  threedimo stabilize shaky.mp4 --drive-start 2 --frames 49 --output out/steady
"""
