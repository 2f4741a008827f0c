"""What a worker says of its steps, and how often."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from threedimo.progress import Step
from threedimo_server import generation
from threedimo_server.generation import Reporter


@pytest.fixture
def clock(monkeypatch):
    """The reporter's own time, which stands until a test moves it."""
    now = SimpleNamespace(s=100.0)
    monkeypatch.setattr(generation.time, "monotonic", lambda: now.s)
    return now


@pytest.mark.parametrize(("step_s", "num_told"), [(0.01, 4), (0.125, 26), (0.5, 101), (2.0, 101)])
def test_fast_steps_are_not_told_one_by_one_but_the_first_and_the_last_are(clock, step_s, num_told):
    told = []
    reporter = Reporter(SimpleNamespace(job_id="job", epoch=1), lambda report, _body: told.append(report))
    for step in range(101):
        reporter.on_step(Step("denoising", step, 100))
        clock.s += step_s
    assert (told[0].step, told[-1].step) == (0, 100)
    assert len(told) == pytest.approx(num_told, abs=1)
    middle = told[len(told) // 2]
    assert middle.eta_s == pytest.approx((100 - middle.step) * step_s)
    assert told[-1].eta_s == pytest.approx(0.0)
    assert told[-1].elapsed_s == pytest.approx(100 * step_s)
