"""The console's files, which may load nothing from elsewhere."""

from pathlib import Path

from aiohttp import web

from cluster.gateway.http.context import CONTEXT

HEADERS = {
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
}


async def file(request: web.Request) -> web.FileResponse:
    """A file of the console, `index.html` at `/`.  Raises HTTPNotFound for everything else."""
    folder = request.app[CONTEXT].console.resolve()
    path = (folder / (request.match_info.get("path") or "index.html")).resolve()
    if not _is_ours(path, folder):
        raise web.HTTPNotFound
    return web.FileResponse(path, headers={**HEADERS, "Content-Type": TYPES[path.suffix]})


def _is_ours(path: Path, folder: Path) -> bool:
    return path.is_relative_to(folder) and path.suffix in TYPES and path.is_file()
