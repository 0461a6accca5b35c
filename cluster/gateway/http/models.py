"""GET /v1/models, POST /v1/embeddings."""

from aiohttp import web

from cluster.core.view import PoolView
from cluster.gateway.embedding import embed
from cluster.gateway.http.body import read_object
from cluster.gateway.http.chat import where_headers
from cluster.gateway.http.context import CONTEXT, MODEL
from cluster.gateway.lifecycle import view_of
from cluster.gateway.openai.embeddings import embeddings_body, read_embeddings
from cluster.gateway.openai.models import model_body, models_body
from cluster.gateway.pieces import Placed
from cluster.gateway.turns import new_turn_id


async def pool_view(request: web.Request) -> PoolView:
    """Raises Overloaded where no router answers."""
    return await view_of(request.app[CONTEXT].turns.link)


async def models(request: web.Request) -> web.Response:
    created = int(request.app[CONTEXT].started_at)
    return web.json_response(models_body(await pool_view(request), created))


async def model(request: web.Request) -> web.Response:
    created = int(request.app[CONTEXT].started_at)
    return web.json_response(model_body(await pool_view(request), request.match_info["id"], created))


async def embeddings(request: web.Request) -> web.Response:
    turns = request.app[CONTEXT].turns
    asked = read_embeddings(await read_object(request), request.headers, new_turn_id())
    answer = await embed(turns, asked.embed, asked.privacy)
    request[MODEL] = asked.embed.model
    placed = Placed(answer.node, answer.engine, answer.locality)
    headers = where_headers(placed, asked.embed.session.session)
    return web.json_response(
        embeddings_body(asked.model, answer.embeddings, asked.as_base64), headers=headers
    )
