"""The queue in a browser: `threedimo page`.

Notable: the page is a client like any other. The server knows nothing of it, needs no port for it and cannot
be harmed through it; it shows a server on another machine as well as one here, and speaks HTTP on loopback
only.

- `board`: what the server says, kept up to date in a thread of its own
- `films`: results on their way into the browser
- `access`: who may look: the browser that was opened with this page's own address
- `app`: addresses to answers
- `command`: `threedimo page`
"""
