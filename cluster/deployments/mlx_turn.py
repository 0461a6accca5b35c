"""One turn at MLX: its events become our frames."""

import secrets
from collections.abc import AsyncGenerator
from contextlib import aclosing

from cluster.core.ids import SessionKey
from cluster.deployments import constrained
from cluster.deployments.engine_http import EngineHttp
from cluster.wire import Delta, Ended, Frame, JsonObject, Progress, Sampling, Tokens, TurnRequest


def name_of(session: SessionKey) -> str:
    return f"{session.session}/{session.generation}"


def body_of(request: TurnRequest, ids: tuple[int, ...]) -> JsonObject:
    names = ("temperature", "top_p", "top_k", "min_p", "seed", "presence_penalty", "frequency_penalty")
    sampling: Sampling = request.sampling
    return {
        "tenant": request.session.tenant,
        "session": name_of(request.session),
        "ids": list(ids),
        "max_tokens": request.max_tokens,
        "stop": list(sampling.stop),
        "sampling": {name: getattr(sampling, name) for name in names},
        "schema": constrained.schema_of(request) if request.constrained else None,
    }


class MlxTurn:
    """`opening`: what the prompt wrote of the answer already; it comes before the answer's text."""

    def __init__(
        self, server: EngineHttp, request: TurnRequest, ids: tuple[int, ...], opening: str = ""
    ) -> None:
        self._server, self._request, self._ids, self._opening = server, request, ids, opening
        # Not the turn's own name: it may come back before its first connection is known to be closed.
        self._name = secrets.token_hex(8)
        self._calls = request.constrained and constrained.forces_tool(request)
        self._text = ""

    async def frames(self) -> AsyncGenerator[Frame]:
        """Raises Refused and EngineLost."""
        body = body_of(self._request, self._ids) | {"turn": self._name}
        async with aclosing(self._server.stream("/generate", body)) as events:
            async for event in events:
                for frame in self._frames(event):
                    yield frame

    def _frames(self, event: JsonObject) -> list[Frame]:
        if "progress" in event:
            return [Progress(*event["progress"])]
        if "end" in event:
            return self._ended(event)
        if self._request.constrained:
            return self._form(event["text"])
        text, self._opening = self._opening + event["text"], ""
        return [Tokens(tuple(event["ids"]), text)]

    def _form(self, text: str) -> list[Frame]:
        """A forced call comes whole, in one delta, when it has ended."""
        self._text += text
        return [] if self._calls or not text else [Delta({"content": text})]

    def _ended(self, event: JsonObject) -> list[Frame]:
        call = constrained.tool_delta(self._text, self._request.turn) if self._calls else None
        reason = "tool_calls" if call else event["end"]
        ended = Ended(reason, len(self._ids), event["cached"], event["tokens"])
        return [Delta(call), ended] if call else [ended]

    async def free(self) -> None:
        """Returns when no sequence of this turn computes any more.  Raises EngineLost."""
        await self._server.ask("POST", "/cancel", {"turn": self._name})
