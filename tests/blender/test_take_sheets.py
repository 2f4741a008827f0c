"""The sheet of a take: what it was made of, files that changed since, and sheets of other versions."""

from __future__ import annotations

import json

import pytest

pytestmark = pytest.mark.blender


def test_sheet_remembers_the_inputs_and_refuses_changed_ones(addon, camera, leave_take, tmp_path):
    from threedimo.errors import InvalidRequest, UnwritableFolder

    takes, orders = addon("takes"), addon("orders")
    job = leave_take(camera, scene_frames=range(1, 6), num_frames=5, seed=3)
    _, order = takes.read_order(job.folder)
    assert (order.seed, order.text, order.driving_files) == (3, "Front view.", (tmp_path / "walk.mp4",))

    takes.seal(job.folder, orders.build_request(order, job.mapping).request)
    assert len(json.loads((job.folder / "take.json").read_text())["reference_image"]["hash"]) == 64
    (tmp_path / "walk.mp4").write_bytes(b"another")
    with pytest.raises(InvalidRequest, match="changed since this take was queued"):
        takes.seal(job.folder, orders.build_request(order, job.mapping).request)
    with pytest.raises(UnwritableFolder):
        takes.write_take(job.folder, job.job_id, order, job.mapping, {})


def as_first_version(sheet):
    """As the first version wrote it, which called a file's hash by a wrong name."""
    files = [sheet["reference_image"], *sheet["driving_files"]]
    for file in files:
        file["sha256"] = file.pop("hash")
    return {"version": 1} | {key: value for key, value in sheet.items() if key != "version"}


def test_sheet_of_the_first_version_is_read_and_goes_on(addon, camera, leave_take, tmp_path):
    from threedimo.errors import InvalidRequest

    takes, orders = addon("takes"), addon("orders")
    job = leave_take(camera, scene_frames=range(1, 6), num_frames=5, seed=3)
    _, order = takes.read_order(job.folder)
    takes.seal(job.folder, orders.build_request(order, job.mapping).request)
    sheet, file = takes.read_sheet(job.folder), job.folder / "take.json"
    written = json.loads(file.read_text())
    assert written["version"] == 2
    file.write_text(json.dumps(as_first_version(written)))

    assert takes.read_sheet(job.folder) == sheet
    assert takes.read_order(job.folder)[1].seed == 3
    (tmp_path / "walk.mp4").write_bytes(b"another")
    with pytest.raises(InvalidRequest, match="changed since this take was queued"):
        takes.seal(job.folder, orders.build_request(order, job.mapping).request)
    (tmp_path / "walk.mp4").write_bytes(b"content")
    takes.seal(job.folder, orders.build_request(order, job.mapping).request)


def test_sheet_of_the_first_version_that_was_not_sent_yet_is_sealed_as_the_present_one(
    addon, camera, leave_take
):
    takes, orders = addon("takes"), addon("orders")
    job = leave_take(camera, scene_frames=range(1, 6), num_frames=5)
    file = job.folder / "take.json"
    file.write_text(json.dumps(as_first_version(json.loads(file.read_text()))))

    _, order = takes.read_order(job.folder)
    takes.seal(job.folder, orders.build_request(order, job.mapping).request)

    written = json.loads(file.read_text())
    assert written["version"] == 2
    assert [len(each["hash"]) for each in written["driving_files"]] == [64]


@pytest.mark.parametrize(
    ("version", "says"), [(3, "Invalid value 3"), (2, "unknown field `sha256`"), (None, "version")]
)
def test_sheet_of_no_known_version_is_refused(addon, camera, leave_take, version, says):
    from threedimo.errors import UnreadableMedia

    job = leave_take(camera, scene_frames=range(1, 6), num_frames=5)
    file = job.folder / "take.json"
    sheet = as_first_version(json.loads(file.read_text())) | {"version": version}
    file.write_text(json.dumps(sheet))

    with pytest.raises(UnreadableMedia, match=says):
        addon("takes").read_sheet(job.folder)
