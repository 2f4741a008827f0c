"""Who may look: the browser that was opened with this page's own address.

Loopback is open to every program of the machine, and a browser carries out what any web page tells it to. So
a page is opened once with a token in its address, which becomes a cookie; it answers under the names of this
machine only (a stranger's domain may point to 127.0.0.1), and only its own pages may change anything.
"""

from __future__ import annotations

import hmac

from starlette.datastructures import URL, Headers
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HOSTS = ("127.0.0.1", "localhost")
_SAFE_METHODS = ("GET", "HEAD")
_REFUSAL = "This page opens with the address that `threedimo page` prints, token included.\n"
_HEADERS = {
    "content-security-policy": "default-src 'self'; frame-ancestors 'none'; form-action 'self'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}


class OwnBrowserOnly:
    """Middleware that lets no other browser, page or name through.

    Args:
        app: What is guarded.
        token: What the address must carry the first time.
        port: Of the page; it names the cookie, because a browser has one set of cookies for all ports.
    """

    def __init__(self, app: ASGIApp, token: str, port: int):
        self._app = app
        self._token = token
        self._cookie = f"threedimo_page_{port}"
        self._origins = {f"http://{host}:{port}" for host in HOSTS}
        self._hosts = {f"{host}:{port}" for host in HOSTS}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                named = [(name.encode(), value.encode()) for name, value in _HEADERS.items()]
                message["headers"] = [*message["headers"], *named]
            await send(message)

        answer = self._answer(HTTPConnection(scope), scope["method"]) or self._app
        await answer(scope, receive, send_guarded)

    def _answer(self, request: HTTPConnection, method: str) -> Response | None:
        """What to say instead of the page itself; None lets the request through."""
        headers: Headers = request.headers
        if headers.get("host") not in self._hosts:
            return PlainTextResponse(_REFUSAL, 400)
        if method not in _SAFE_METHODS and headers.get("origin") not in self._origins:
            return PlainTextResponse("Only this page's own buttons may do that.\n", 403)
        if self._is_token(request.query_params.get("token", "")):
            answer = RedirectResponse(str(URL(str(request.url)).remove_query_params("token")), 303)
            answer.set_cookie(self._cookie, self._token, httponly=True, samesite="strict")
            return answer
        if not self._is_token(request.cookies.get(self._cookie, "")):
            return PlainTextResponse(_REFUSAL, 403)
        return None

    def _is_token(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(), self._token.encode())
