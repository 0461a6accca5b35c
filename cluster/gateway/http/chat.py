"""POST /v1/chat/completions."""

from collections.abc import AsyncIterator

from aiohttp import web

from cluster.core.errors import HearthError
from cluster.gateway.http.body import read_object
from cluster.gateway.http.context import CONTEXT, MODEL
from cluster.gateway.http.stream import EventStream
from cluster.gateway.openai.chat_request import ChatRequest, read_chat
from cluster.gateway.openai.chunks import DONE, Chunks, Head, Message, computed_body, error_event
from cluster.gateway.pieces import (
    Committed,
    Content,
    Finished,
    Piece,
    Placed,
    Queued,
    Reasoning,
    Silence,
    ToolCall,
)
from cluster.gateway.turns import new_turn_id


async def chat(request: web.Request) -> web.StreamResponse:
    context = request.app[CONTEXT]
    turn = new_turn_id()
    asked = read_chat(await read_object(request), request.headers, turn)
    head = Head(f"chatcmpl-{turn}", int(context.wall()), asked.model)
    async with context.turns.answer(asked.turn, asked.privacy) as pieces:
        if asked.stream:
            return await _streamed(request, asked, head, pieces)
        return await _whole(request, asked, head, pieces)


def where_headers(placed: Placed | None, session: str) -> dict[str, str]:
    """Where the answer is computed, as far as it is known when the status line goes out."""
    return {
        "x-hearth-node": placed.node if placed else "pending",
        "x-hearth-engine": placed.engine if placed else "pending",
        "x-hearth-locality": placed.locality if placed else "pending",
        "x-hearth-session": session,
    }


async def _whole(
    request: web.Request, asked: ChatRequest, head: Head, pieces: AsyncIterator[Piece]
) -> web.Response:
    """One body at the end.  Its status line waits that long: it is the only place for an error."""
    message, placed, session = Message(), None, asked.turn.session.session
    async for piece in pieces:
        match piece:
            case Placed():
                placed = piece
                request[MODEL] = asked.turn.model
            case Content() | Reasoning() | ToolCall():
                message.add(piece)
            case Finished():
                body = message.body(head, piece, computed_body(placed, session))
                return web.json_response(body, headers=where_headers(placed, session))
            case _:
                pass
    raise AssertionError("an answer ends with Finished")


async def _streamed(
    request: web.Request, asked: ChatRequest, head: Head, pieces: AsyncIterator[Piece]
) -> web.StreamResponse:
    talk = _ChatStream(request, asked, head)
    try:
        async for piece in pieces:
            await talk.tell(piece)
    except HearthError as error:
        await talk.fail(error)
    except ConnectionError:
        pass  # Nobody is there to be told; leaving the turn cancels it.
    return talk.stream.response


class _ChatStream:
    """One client's stream: the status line at the first place or at the commitment, then chunks."""

    def __init__(self, request: web.Request, asked: ChatRequest, head: Head) -> None:
        self._request, self._turn = request, asked.turn
        self._session = asked.turn.session.session
        self._chunks = Chunks(head, asked.own_usage)
        self._placed: Placed | None = None
        self._queued: Queued | None = None
        self.stream = EventStream(request)

    async def tell(self, piece: Piece) -> None:
        match piece:
            case Placed():
                self._placed, self._queued = piece, None
                self._request[MODEL] = self._turn.model
                await self._begin()
            case Queued():
                self._queued = piece
                await self._show_life()
            case Committed():
                await self._begin()
            case Silence():
                await self._show_life()
            case Finished():
                computed = computed_body(self._placed, self._session)
                await self.stream.write(self._chunks.last(piece, computed))
            case Content() | Reasoning() | ToolCall():
                await self.stream.write(self._chunks.said(piece))
            case _:
                pass

    async def _begin(self) -> None:
        if not self.stream.has_begun:
            first = self._chunks.empty(self._queued)
            await self.stream.begin(where_headers(self._placed, self._session), first)

    async def _show_life(self) -> None:
        if self.stream.has_begun:
            await self.stream.write(self._chunks.empty(self._queued))

    async def fail(self, error: HearthError) -> None:
        """In the stream where it has begun, else as an answer of its own."""
        if not self.stream.has_begun:
            raise error
        await self.stream.write(error_event(error) + DONE)
