"""Addresses to answers. Pages are drawn here, and htmx puts the parts that change into place."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from threedimo.errors import ThreeDimoError
from threedimo_server.page.access import OwnBrowserOnly
from threedimo_server.page.board import Board

_HERE = Path(__file__).parent
_FILM_LIMIT_S = 60.0
_MINUTE_S, _HOUR_S = 60, 3600


def make_app(board: Board, server_name: str, token: str, port: int) -> Starlette:
    """The page as an ASGI application.

    Args:
        board: What it shows.
        server_name: Of the server, for its title.
        token: What its first address must carry.
        port: Where it is served, on loopback.
    """
    page = Page(board, server_name)
    job = "/jobs/{job_id:uuid}"
    return Starlette(
        routes=[
            Route("/", page.whole),
            Route("/queue", page.queue),
            Route(f"{job}/cancel", page.cancel, methods=["POST"]),
            Route(f"{job}/preview.jpg", page.preview),
            Route(f"{job}/viewer", page.viewer),
            Route(f"{job}/film.mp4", page.film),
            Mount("/static", StaticFiles(directory=_HERE / "static")),
        ],
        middleware=[Middleware(OwnBrowserOnly, token=token, port=port)],
    )


class Page:
    """The answers. Each is a plain function, which Starlette runs in a thread."""

    def __init__(self, board: Board, server_name: str):
        self._board = board
        self._server_name = server_name
        self._templates = jinja2.Environment(
            loader=jinja2.FileSystemLoader(_HERE / "templates"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters |= {"clock": _clock, "length": _length}

    def whole(self, _request: Request) -> Response:
        """The page, with the queue as it is now."""
        return self._drawn("page.html.jinja", self._shown())

    def queue(self, _request: Request) -> Response:
        """The queue alone, as htmx asks for it every second."""
        return self._drawn("queue.html.jinja", self._shown())

    def cancel(self, request: Request) -> Response:
        """Stop a job; the queue shows when it has."""
        self._board.cancel(_job_id(request))
        return self._drawn("queue.html.jinja", self._shown())

    def preview(self, request: Request) -> Response:
        """How a running job looks now."""
        jpeg = self._board.preview(_job_id(request))
        return Response(status_code=404) if jpeg is None else Response(jpeg, media_type="image/jpeg")

    def viewer(self, request: Request) -> Response:
        """A result, playing beside its driving footage; or why it cannot."""
        job_id = _job_id(request)
        label = next((row.job.label for row in self._board.rows() if row.job.job_id == job_id), "")
        values: dict[str, Any] = {"job_id": job_id, "label": label or job_id, "film": None, "problem": None}
        try:
            values["film"] = self._board.film(job_id).result(_FILM_LIMIT_S)
        except ThreeDimoError as error:
            values["problem"] = str(error)
        except TimeoutError:
            values["problem"] = f"The server has not sent the film within {_FILM_LIMIT_S:.0f} s."
        return self._drawn("viewer.html.jinja", values)

    def film(self, request: Request) -> Response:
        """The video itself, whole or in the parts that a browser asks for."""
        try:
            film = self._board.film(_job_id(request)).result(_FILM_LIMIT_S)
        except (ThreeDimoError, TimeoutError):
            return Response(status_code=404)
        return FileResponse(film.file, media_type="video/mp4")

    def _shown(self) -> dict[str, Any]:
        return {
            "server_name": self._server_name,
            "problem": self._board.problem,
            "rows": self._board.rows(),
        }

    def _drawn(self, template: str, values: Mapping[str, Any]) -> Response:
        return HTMLResponse(self._templates.get_template(template).render(values))


def _job_id(request: Request) -> str:
    return str(request.path_params["job_id"])


def _clock(time_s: float) -> str:
    """When, in local time: the hour today, the date before."""
    moment = time.localtime(time_s)
    today = time.localtime()[:3] == moment[:3]
    return time.strftime("%H:%M:%S" if today else "%Y-%m-%d %H:%M", moment)


def _length(length_s: float) -> str:
    """How long, in the largest unit that fits."""
    if length_s < _MINUTE_S:
        return f"{length_s:.0f} s"
    if length_s < _HOUR_S:
        return f"{length_s / _MINUTE_S:.0f} min"
    return f"{length_s / _HOUR_S:.1f} h"
