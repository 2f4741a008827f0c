import pytest

from threedimo.errors import UnwritableFolder
from threedimo_server.output_folder import check_output, written_folder


def make_result(folder, facts="{}"):
    folder.mkdir()
    (folder / "frames").mkdir()
    (folder / "result.json").write_text(facts)


def test_new_and_empty_folders_may_be_used(tmp_path):
    check_output(tmp_path / "new", overwrite=False)
    check_output(tmp_path, overwrite=False)


def test_an_earlier_result_needs_overwrite(tmp_path):
    make_result(tmp_path / "shot")
    with pytest.raises(UnwritableFolder, match="--overwrite"):
        check_output(tmp_path / "shot", overwrite=False)
    check_output(tmp_path / "shot", overwrite=True)


@pytest.mark.parametrize("stranger", ["thesis.txt", ".git"])
def test_other_files_are_never_lost(tmp_path, stranger):
    make_result(tmp_path / "shot")
    (tmp_path / "shot" / stranger).touch()
    with pytest.raises(UnwritableFolder, match=stranger):
        check_output(tmp_path / "shot", overwrite=True)


def test_a_folder_of_frames_alone_is_no_earlier_result(tmp_path):
    (tmp_path / "shot" / "frames").mkdir(parents=True)
    with pytest.raises(UnwritableFolder, match="other files"):
        check_output(tmp_path / "shot", overwrite=True)


def test_a_file_is_refused(tmp_path):
    (tmp_path / "shot").touch()
    with pytest.raises(UnwritableFolder, match="is a file"):
        check_output(tmp_path / "shot", overwrite=True)


def test_a_written_folder_appears_whole(tmp_path):
    output = tmp_path / "shots" / "010"
    with written_folder(output) as folder:
        make_result(folder)
        assert not output.exists()
    assert (output / "result.json").exists()
    assert list(output.parent.iterdir()) == [output], "nothing else is left"


def test_a_new_result_takes_the_place_of_the_old(tmp_path):
    output = tmp_path / "shot"
    make_result(output, "old")
    with written_folder(output) as folder:
        make_result(folder, "new")
        assert (output / "result.json").read_text() == "old"
    assert (output / "result.json").read_text() == "new"
    assert list(tmp_path.iterdir()) == [output]


def test_a_failure_leaves_everything_as_it_was(tmp_path):
    output = tmp_path / "shot"
    make_result(output, "old")
    with pytest.raises(FileExistsError), written_folder(output) as folder:
        # The second call finds the folder of the first, half written.
        [make_result(folder, "half") for _ in range(2)]
    assert (output / "result.json").read_text() == "old"
    assert list(tmp_path.iterdir()) == [output]


def test_an_impossible_place(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UnwritableFolder), written_folder(tmp_path / "file" / "shot"):
        pass
