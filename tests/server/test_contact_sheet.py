import numpy as np
import pytest

from threedimo_server.contact_sheet import CELL_HEIGHT_PX, Row, Sheet, chosen_frames, draw_contact_sheet

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def flat(colour, count=None, height=48, width=64):
    picture = np.full((height, width, 3), colour, np.uint8)
    return picture if count is None else np.repeat(picture[None], count, 0)


def a_sheet(num_columns=4, captions=("camera: Front view.", "model: tiny"), **shapes):
    return Sheet(
        reference_image=flat(RED),
        rows=(
            Row("driving footage", flat(GREEN, num_columns, **shapes)),
            Row("result", flat(BLUE, num_columns)),
        ),
        times_s=tuple(i / 8 for i in range(num_columns)),
        captions=captions,
    )


def area(sheet, colour):
    return int((sheet == np.array(colour, np.uint8)).all(-1).sum())


def test_shows_the_reference_once_and_both_rows_whole():
    sheet = draw_contact_sheet(a_sheet())
    cell = CELL_HEIGHT_PX * round(CELL_HEIGHT_PX * 64 / 48)
    assert sheet.dtype == np.uint8
    assert area(sheet, RED) == cell
    assert area(sheet, GREEN) == area(sheet, BLUE) == 4 * cell


def test_rows_are_in_columns_of_equal_times():
    sheet = draw_contact_sheet(a_sheet(width=30))
    driving = np.flatnonzero((sheet == GREEN).all(-1).any(0))
    result = np.flatnonzero((sheet == BLUE).all(-1).any(0))
    assert abs(driving.mean() - result.mean()) < 1, "narrow footage stands in the middle of its column"


def test_captions_are_wrapped_and_make_room():
    short = draw_contact_sheet(a_sheet())
    long = draw_contact_sheet(a_sheet(captions=("The camera arcs left. " * 60,)))
    assert long.shape[0] > short.shape[0]
    assert long.shape[1] == short.shape[1]
    assert np.all(long[:, -4:] == long[0, 0]), "no word runs out of the sheet"


def test_equal_inputs_give_equal_sheets():
    np.testing.assert_array_equal(draw_contact_sheet(a_sheet()), draw_contact_sheet(a_sheet()))


def test_one_frame_is_enough():
    assert area(draw_contact_sheet(a_sheet(1)), BLUE) > 0


def test_rows_of_different_length_are_refused():
    with pytest.raises(ValueError, match="frame by frame"):
        Sheet(flat(RED), (Row("a", flat(GREEN, 3)), Row("b", flat(BLUE, 2))), (0.0, 1.0), ())
    with pytest.raises(ValueError, match="frame by frame"):
        Sheet(flat(RED), (), (0.0,), ())


def test_every_row_has_its_own_place():
    rows = tuple(Row(f"view {index}", flat(colour, 2)) for index, colour in enumerate((GREEN, BLUE, GREEN)))
    sheet = draw_contact_sheet(Sheet(flat(RED), rows, (0.0, 1.0), ()))
    cell = CELL_HEIGHT_PX * round(CELL_HEIGHT_PX * 64 / 48)
    assert (area(sheet, GREEN), area(sheet, BLUE)) == (4 * cell, 2 * cell)


@pytest.mark.parametrize("num_frames", [1, 5, 8, 9, 17, 121])
def test_chosen_frames_hold_both_ends_and_rise(num_frames):
    chosen = chosen_frames(num_frames)
    assert (chosen[0], chosen[-1]) == (0, num_frames - 1)
    assert chosen == sorted(set(chosen))
    assert len(chosen) == min(8, num_frames)
