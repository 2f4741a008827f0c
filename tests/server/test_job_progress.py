import io

from threedimo_server.job_progress import JobProgress


class Terminal(io.StringIO):
    """A stream that says it is a terminal; everything else is real."""

    def isatty(self):
        return True


def test_lines_where_there_is_no_terminal():
    stream = io.StringIO()
    with JobProgress(stream) as progress:
        progress.step("loading", 0, 0)
        for step in range(20):
            progress.step("denoising", step, 20, eta_s=75.0)
        progress.note("done")
    assert stream.getvalue().splitlines() == ["loading", "denoising 0 of 20, about 1 min 15 s left", "done"]
    assert "\r" not in stream.getvalue()


def test_a_bar_on_a_terminal():
    stream = Terminal()
    with JobProgress(stream) as progress:
        progress.step("denoising", 10, 20, eta_s=8.0)
        progress.step("rendering", 1, 1)
    assert "denoising" in stream.getvalue()
    assert " 50% " in stream.getvalue()
    assert "10/20" in stream.getvalue()
    assert "about 8 s left" in stream.getvalue()
    assert "rendering" in stream.getvalue()
