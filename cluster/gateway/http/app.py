"""The routes, and the server."""

from aiohttp import web

from cluster.gateway.http import chat, files, models, pool
from cluster.gateway.http.context import CONTEXT, HttpContext
from cluster.gateway.http.middleware import middleware

SHUTDOWN_S = 2.0


def build(context: HttpContext) -> web.Application:
    app = web.Application(middlewares=[middleware])
    app[CONTEXT] = context
    app.add_routes(
        [
            web.post("/v1/chat/completions", chat.chat),
            web.get("/v1/models", models.models),
            web.get("/v1/models/{id:.+}", models.model),
            web.post("/v1/embeddings", models.embeddings),
            web.get("/healthz", pool.health),
            web.get("/metrics", pool.metrics),
            web.get("/api/view", pool.view),
            web.get("/api/view/stream", pool.view_stream),
            web.post("/api/models/{model:.+}/load", pool.load),
            web.post("/api/models/{model:.+}/unload", pool.unload),
            web.get("/", files.file),
            web.get("/{path:.+}", files.file),
        ]
    )
    return app


async def serve(context: HttpContext, host: str, port: int) -> tuple[web.AppRunner, int]:
    """Listens; a client that goes away cancels its handler.  Returns the port: 0 takes a free one.

    No byte waits for Nagle: asyncio's sockets never do.  Raises OSError where the port is taken.
    """
    runner = web.AppRunner(
        build(context), handler_cancellation=True, access_log=None, shutdown_timeout=SHUTDOWN_S
    )
    await runner.setup()
    site = web.TCPSite(runner, host, port)
    try:
        await site.start()
    except OSError:
        await runner.cleanup()
        raise
    return runner, runner.addresses[0][1]
