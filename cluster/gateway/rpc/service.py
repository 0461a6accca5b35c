"""The service, and errors in gRPC's terms.

| contract | gRPC |
|----------|------|
| 400, 413 | INVALID_ARGUMENT |
| 401      | UNAUTHENTICATED |
| 404      | NOT_FOUND |
| 409      | FAILED_PRECONDITION |
| 503      | UNAVAILABLE, with `retry-after-s`: RESOURCE_EXHAUSTED would make clients give up |
| 500      | INTERNAL |
"""

import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import NoReturn

import grpc

from cluster.core.errors import HearthError, ServerError
from cluster.core.view import PoolView
from cluster.gateway import lifecycle
from cluster.gateway.openai.chat_request import ChatRequest
from cluster.gateway.pieces import Placed
from cluster.gateway.rpc import answers
from cluster.gateway.rpc.requests import read_request
from cluster.gateway.turns import Turns, new_turn_id
from protos.hearth.v1 import hearth_pb2 as pb
from protos.hearth.v1 import hearth_pb2_grpc

log = logging.getLogger(__name__)

_CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    404: grpc.StatusCode.NOT_FOUND,
    409: grpc.StatusCode.FAILED_PRECONDITION,
    413: grpc.StatusCode.INVALID_ARGUMENT,
    503: grpc.StatusCode.UNAVAILABLE,
}
Context = grpc.aio.ServicerContext
CHAT = "/hearth.v1.HearthService/Chat"
CANCELLED = 499
"""How a client that went away is counted."""


class HearthService(hearth_pb2_grpc.HearthServiceServicer):
    def __init__(self, turns: Turns) -> None:
        self._turns = turns

    async def Chat(self, request: pb.ChatRequest, context: Context) -> None:  # noqa: N802 - gRPC's name
        """Writes by itself: a client that goes away then cancels us wherever we are."""
        counters, status, model = self._turns.counters, CANCELLED, ""
        try:
            with counters.in_flight():
                asked = read_request(request, new_turn_id())
                await self._chat(asked, context)
            status, model = 200, asked.turn.model
        except HearthError as error:
            status = error.status
            await _abort(context, error)
        except Exception as fault:  # the client is told, whatever it is
            log.exception("Chat failed")
            status = 500
            await _abort(context, ServerError(f"The gateway failed ({type(fault).__name__})."))
        finally:
            counters.request(CHAT, status, model)

    async def _chat(self, asked: ChatRequest, context: Context) -> None:
        where = None
        async with self._turns.answer(asked.turn, asked.privacy) as pieces:
            async for piece in pieces:
                if isinstance(piece, Placed):
                    where = answers.placement(piece, asked.turn.session.session)
                response = answers.response(piece, where)
                if response is not None:
                    await context.write(response)

    async def ListModels(  # noqa: N802
        self, request: pb.ListModelsRequest, context: Context
    ) -> pb.ListModelsResponse:
        return answers.models(await self._view(context))

    async def GetCluster(  # noqa: N802
        self, request: pb.GetClusterRequest, context: Context
    ) -> pb.GetClusterResponse:
        return answers.cluster(await self._view(context))

    async def LoadModel(self, request: pb.LoadModelRequest, context: Context) -> None:  # noqa: N802
        """Writes by itself, as Chat does: whoever goes away leaves the model loading."""
        link = self._turns.link
        async with _telling(context):
            asked = await lifecycle.load(link, request.model)
            async for model in lifecycle.follow(link, asked.model):
                await context.write(pb.LoadModelResponse(model=answers.model(model)))

    async def UnloadModel(  # noqa: N802
        self, request: pb.UnloadModelRequest, context: Context
    ) -> pb.UnloadModelResponse:
        async with _telling(context):
            asked = await lifecycle.unload(self._turns.link, request.model)
            return pb.UnloadModelResponse(model=answers.model(asked.model), note=asked.note)
        raise AssertionError("abort raises")

    async def _view(self, context: Context) -> PoolView:
        async with _telling(context):
            return await lifecycle.view_of(self._turns.link)
        raise AssertionError("abort raises")


@asynccontextmanager
async def _telling(context: Context) -> AsyncGenerator[None]:
    """Ends the call with the contract's error where one comes up inside."""
    try:
        yield
    except HearthError as error:
        await _abort(context, error)


async def _abort(context: Context, error: HearthError) -> NoReturn:
    trailers = [("hearth-error-code", error.code)]
    if error.param is not None:
        trailers.append(("hearth-error-param", error.param))
    if error.retry_after_s is not None:
        trailers.append(("retry-after-s", f"{error.retry_after_s:.0f}"))
    code = _CODES.get(error.status, grpc.StatusCode.INTERNAL)
    await context.abort(code, error.message, tuple(trailers))
    raise AssertionError("abort raises")
