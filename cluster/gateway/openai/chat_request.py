"""A body of `/v1/chat/completions` as a turn.

Fields without a meaning here are ignored, because clients send many; a field whose silence would change
the answer is an error.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from cluster.core.events import Privacy
from cluster.core.ids import SessionKey
from cluster.gateway import sessions
from cluster.gateway.fields import Fields
from cluster.gateway.openai.messages import read_messages
from cluster.gateway.openai.tools import read_response_format, read_tool_choice, read_tools
from cluster.wire import JsonObject, Sampling, TurnRequest

LOCAL = "local/"
"""`local/<model>` is the model, computed in this home or not at all."""

MAX_STOPS = 16


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """`model` as the client calls it.  `own_usage`: usage is wanted in a chunk of its own."""

    turn: TurnRequest
    model: str
    privacy: Privacy
    stream: bool
    own_usage: bool


def read_chat(body: JsonObject, headers: Mapping[str, str], turn: str) -> ChatRequest:
    """Raises InvalidField."""
    fields = Fields(body)
    _refuse_unsupported(fields)
    asked = fields.required_text("model")
    model, privacy = read_model(asked)
    messages, tools = read_messages(fields), read_tools(fields)
    options = fields.inner("stream_options")
    request = TurnRequest(
        turn=turn,
        session=_session(fields, headers) or sessions.by_prompt(model, tools, messages),
        model=model,
        messages=messages,
        tools=tools,
        tool_choice=read_tool_choice(fields, tools),
        parallel_tool_calls=fields.flag("parallel_tool_calls") is not False,
        response_format=read_response_format(fields),
        sampling=read_sampling(fields),
        max_tokens=_max_tokens(fields),
        template_options=_template_options(fields),
    )
    own_usage = options is not None and bool(options.flag("include_usage"))
    return ChatRequest(request, asked, privacy, bool(fields.flag("stream")), own_usage)


def read_model(asked: str) -> tuple[str, Privacy]:
    """The pool's name of the model, and where it may be computed."""
    if asked.startswith(LOCAL) and asked != LOCAL:
        return asked.removeprefix(LOCAL), Privacy.LOCAL_ONLY
    return asked, Privacy.ANY


def _session(fields: Fields, headers: Mapping[str, str]) -> SessionKey | None:
    if key := fields.text("prompt_cache_key"):
        return sessions.named(key, "prompt_cache_key")
    return session_in(headers)


def session_in(headers: Mapping[str, str]) -> SessionKey | None:
    """The session that a header names.  Raises InvalidField."""
    for name in sessions.HEADERS:
        if value := headers.get(name):
            return sessions.named(value, name)
    return None


def _max_tokens(fields: Fields) -> int | None:
    newer = fields.integer("max_completion_tokens", low=1)
    older = fields.integer("max_tokens", low=1)
    return older if newer is None else newer


def read_sampling(fields: Fields) -> Sampling:
    """Raises InvalidField."""
    return Sampling(
        temperature=fields.number("temperature", 0, 2),
        top_p=fields.number("top_p", 0, 1),
        top_k=fields.integer("top_k", -1, 1_000_000),
        min_p=fields.number("min_p", 0, 1),
        seed=fields.integer("seed"),
        presence_penalty=fields.number("presence_penalty", -2, 2),
        frequency_penalty=fields.number("frequency_penalty", -2, 2),
        stop=_stops(fields),
    )


def _stops(fields: Fields) -> tuple[str, ...]:
    stop = fields.body.get("stop")
    if stop is None:
        return ()
    words = [stop] if isinstance(stop, str) else (fields.items("stop") or [])
    if len(words) > MAX_STOPS or not all(isinstance(word, str) and word for word in words):
        problem = "is not a string or a short list of strings that are not empty."
        raise fields.fault("stop", problem, f"Send at most {MAX_STOPS} of them.")
    return tuple(words)


def _template_options(fields: Fields) -> JsonObject:
    options = fields.inner("chat_template_kwargs")
    read = {} if options is None else dict(options.body)
    if effort := fields.text("reasoning_effort"):
        read["reasoning_effort"] = effort
    return read


def _refuse_unsupported(fields: Fields) -> None:
    number = fields.integer("n")
    if number not in (None, 1):
        raise fields.fault("n", f"is {number}.", "Send several requests: each gives one answer.")
    if fields.flag("logprobs") or fields.integer("top_logprobs"):
        raise fields.fault("logprobs", "is not supported.", "Leave logprobs and top_logprobs out.")
    if fields.body.get("logit_bias"):
        raise fields.fault("logit_bias", "is not supported.", "Leave it out.")
    if "audio" in (fields.items("modalities") or ()):
        raise fields.fault("modalities", "holds 'audio', which no model here speaks.", "Ask for text alone.")
