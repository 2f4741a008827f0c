"""`threedimo batch`: the command, a real server, a real worker with a tiny model of random weights."""

import json
import signal

import pytest

from threedimo.model_info import read_model_info
from threedimo_server.batch_ledger import BatchLedger
from threedimo_server.batch_list import Book, read_list
from threedimo_server.job_progress import JobProgress
from threedimo_server.shot_inputs import read_inputs

LIMIT_S = 120
SHOT_FILES = {"frames", "video.mp4", "comparison.mp4", "result.json", "contact_sheet.png"}


def contents(folder):
    """What a person sees there."""
    return {path.name for path in folder.iterdir() if path.name != ".batch.lock"}


def jobs(run, home, label):
    """State of each job of a batch, newest first."""
    return [line.split()[1] for line in run(home, "jobs")[1].splitlines() if f"  {label} " in line]


def test_every_shot_of_the_list_gets_a_folder_and_a_line(run, home, write_list, tmp_path):
    shots = write_list(
        {"name": "010", "camera_path": "camera.json", "frames": 9},
        {"name": "020", "text": "From above.", "seed": 3, "frames": 9, "preset": "standard"},
        {"name": "030", "drive": ["woman.png"] * 12, "drive_fps": 12},
    )
    code, out, err = run(home, "batch", shots, "--output", tmp_path / "every", "--preset", "draft")
    assert (code, "Traceback" in err) == (0, False), err
    assert contents(tmp_path / "every") == {"010", "020", "030", "batch.json"}
    for name in ("010", "020", "030"):
        assert contents(tmp_path / "every" / name) == SHOT_FILES
    facts = [json.loads((tmp_path / "every" / name / "result.json").read_text()) for name in ("010", "020")]
    assert [fact["text"] for fact in facts] == ["Front view. The camera arcs left 30 degrees.", "From above."]
    assert [(fact["num_frames"], fact["seed"]) for fact in facts] == [(9, 0), (9, 3)]
    assert [fact["preset"] for fact in facts] == ["draft", "standard"]
    table = out.splitlines()
    assert [line.split()[:3] for line in table[1:]] == [
        ["010", "done", "9"],
        ["020", "done", "9"],
        ["030", "done", "5"],
    ]
    assert "3 jobs queued" in err

    code, out, err = run(home, "batch", shots, "--output", tmp_path / "every", "--preset", "draft")
    assert code == 0
    assert "3 of 3 done before" in err
    assert out.count("done before") == 3
    assert jobs(run, home, "every") == ["done"] * 3, "nothing is made twice"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_batch_that_was_broken_off_goes_on(start, run, home, write_list, tmp_path, number):
    label = f"broken{number}"
    shots = write_list({"name": "a"}, {"name": "b", "steps": 60, "frames": 13}, {"name": "c", "steps": 60})
    process = start(home, "batch", shots, "--output", tmp_path / label)
    seen = [""]
    while "b denoising" not in seen[-1]:
        seen.append(process.stderr.readline())
        assert seen[-1], seen
    process.send_signal(number)
    _, err = process.communicate(timeout=LIMIT_S)
    first = (tmp_path / label / "a" / "result.json").read_bytes()
    if number == signal.SIGINT:
        assert process.returncode == 130
        assert err.splitlines()[-1].startswith(
            "threedimo: error [job.cancelled]: interrupted; 2 jobs cancelled"
        )

    code, _, err = run(home, "batch", shots, "--output", tmp_path / label)
    assert code == 0, err
    assert "1 of 3 done before" in err
    assert contents(tmp_path / label) == {"a", "b", "c", "batch.json"}
    assert (tmp_path / label / "a" / "result.json").read_bytes() == first
    made = ["done"] * 3 if number == signal.SIGKILL else ["done", "done", "cancelled", "cancelled", "done"]
    assert jobs(run, home, label) == made


def test_one_shot_that_fails_does_not_hold_up_the_others(start, run, home, write_list, tmp_path):
    shots = write_list({"name": "a", "steps": 200, "frames": 13}, {"name": "b"})
    process = start(home, "batch", shots, "--output", tmp_path / "one")
    while "a denoising" not in process.stderr.readline():
        assert process.poll() is None
    job_id = json.loads((tmp_path / "one" / "batch.json").read_text())["shots"]["a"]["job_id"]
    assert run(home, "cancel", job_id)[0] == 0
    out, err = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 11
    assert "a  " in out
    assert "[job.cancelled]" in out
    assert "1 of 2 shots could not be made (given: a)" in err.splitlines()[-1]
    assert contents(tmp_path / "one") == {"b", "batch.json"}

    shots = write_list({"name": "a", "steps": 2}, {"name": "b"})
    code, _, err = run(home, "batch", shots, "--output", tmp_path / "one")
    assert code == 0, err
    assert contents(tmp_path / "one") == {"a", "b", "batch.json"}


def test_a_result_of_other_inputs_is_not_taken_for_this_one(run, home, write_list, tmp_path):
    output = tmp_path / "same"
    assert run(home, "batch", write_list({"name": "a"}), "--output", output)[0] == 0
    first = (output / "a" / "result.json").read_bytes()
    code, out, err = run(home, "batch", write_list({"name": "a", "seed": 1}), "--output", output)
    assert (code, out) == (10, "")
    assert "shot a: the folder holds a result that was made of something else" in err
    assert (output / "a" / "result.json").read_bytes() == first


def test_two_runs_of_one_batch_are_kept_apart(start, run, home, write_list, tmp_path):
    shots = write_list({"name": "a", "steps": 200, "frames": 13})
    first = start(home, "batch", shots, "--output", tmp_path / "both")
    while "a denoising" not in first.stderr.readline():
        assert first.poll() is None
    code, out, err = run(home, "batch", shots, "--output", tmp_path / "both")
    assert (code, out) == (10, "")
    assert "error [storage.in_use]: another run" in err
    assert jobs(run, home, "both") == ["running"]

    first.kill()  # which leaves a lock file that nobody holds
    first.communicate(timeout=LIMIT_S)
    second = start(home, "batch", shots, "--output", tmp_path / "both")
    while "a denoising" not in second.stderr.readline():
        assert second.poll() is None
    second.send_signal(signal.SIGINT)
    second.communicate(timeout=LIMIT_S)
    assert second.returncode == 130


def test_a_batch_that_is_done_starts_no_server(run, write_list, tmp_path):
    shots, output = write_list({"name": "a"}), tmp_path / "made"
    options = read_list(shots)[0].options(shots.parent, output)
    (output / "a").mkdir(parents=True)
    inputs = {"a": (options, read_inputs(options))}
    BatchLedger(read_model_info("embedded"), inputs, Book(), JobProgress()).enter({"a": ""})
    (output / "a" / "result.json").touch()
    code, out, err = run(tmp_path / "nobody", "batch", shots, "--output", output)
    assert (code, err) == (0, "1 of 1 done before\n")
    assert out.splitlines()[1].split(None, 1) == ["a", "done before"]


@pytest.mark.parametrize(
    ("shots", "exit_code", "words"),
    [
        ([], 5, "length >= 1"),
        ([{"name": "../a"}], 5, "`$.shots[0].name`"),
        ([{"name": "a"}, {"name": "A"}], 5, "two shots have one name"),
        ([{"name": "a", "frame": 5}], 5, "unknown field `frame`"),
        ([{"name": "a", "seed": -1}], 5, "`$.shots[0].seed`"),
        ([{"name": "a"}, {"name": "b", "reference": "nobody.png"}], 3, "shot b:"),
        ([{"name": "a"}, {"name": "b", "camera_path": "nowhere.json"}], 4, "shot b:"),
        ([{"name": "a"}, {"name": "b", "frames": 10}], 5, "shot b:"),
        ([{"name": "a"}, {"name": "b", "drive_start": 5}], 3, "shot b:"),
    ],
)
def test_a_list_that_cannot_be_made_queues_nothing(run, home, write_list, tmp_path, shots, exit_code, words):
    code, out, err = run(home, "batch", write_list(*shots), "--output", tmp_path / "nothing")
    assert (code, out) == (exit_code, ""), err
    assert words in err.splitlines()[-1]
    assert "Traceback" not in err
    assert jobs(run, home, "nothing") == []


def test_a_list_that_is_not_there_is_named(run, home, tmp_path):
    code, out, err = run(home, "batch", tmp_path / "nowhere.json", "--output", tmp_path / "out")
    assert (code, out) == (5, "")
    assert "nowhere.json" in err
    assert "threedimo batch --help" in err
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_something_else_is_left_alone(run, home, write_list, tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "thesis.txt").touch()
    code, _, err = run(home, "batch", write_list({"name": "a"}), "--output", tmp_path / "thesis")
    assert code == 10
    assert "thesis.txt" in err
    assert contents(tmp_path / "thesis") == {"thesis.txt"}


def test_the_example_of_the_help_is_a_list(tmp_path):
    from threedimo_server.help_texts import BATCH_EPILOG

    start_at, end = BATCH_EPILOG.index("{"), BATCH_EPILOG.rindex("}") + 1
    (tmp_path / "shots.json").write_text(BATCH_EPILOG[start_at:end])
    first, second = read_list(tmp_path / "shots.json")
    assert first.options(tmp_path, tmp_path / "out").camera_path == tmp_path / "camera_010.json"
    assert second.options(tmp_path, tmp_path / "out").drive == (tmp_path / "a.png", tmp_path / "b.png")
