"""`ChatRequest` as the body of a chat completion, so that both are checked by the same code."""

from cluster.core.errors import InvalidField
from cluster.gateway.fields import parse_object
from cluster.gateway.openai.chat_request import ChatRequest, read_chat
from cluster.wire import JsonObject
from protos.hearth.v1 import hearth_pb2 as pb

_ROLES = {
    pb.ROLE_SYSTEM: "system",
    pb.ROLE_USER: "user",
    pb.ROLE_ASSISTANT: "assistant",
    pb.ROLE_TOOL: "tool",
}


def read_request(request: pb.ChatRequest, turn: str) -> ChatRequest:
    """Raises InvalidField."""
    body: JsonObject = {
        "model": request.model,
        "messages": [_message(message, at) for at, message in enumerate(request.messages)],
        "tools": [_tool(tool, at) for at, tool in enumerate(request.tools)],
        "tool_choice": _tool_choice(request.tool_choice),
        "stop": list(request.sampling.stop) or None,
        "max_tokens": request.max_tokens if request.HasField("max_tokens") else None,
        "response_format": _response_format(request),
        "prompt_cache_key": _session(request),
    }
    for name in ("temperature", "top_p", "seed"):
        if request.sampling.HasField(name):
            body[name] = getattr(request.sampling, name)
    return read_chat(body, {}, turn)


def _message(message: pb.Message, at: int) -> JsonObject:
    role = _ROLES.get(message.role)
    if role is None:
        raise InvalidField(
            f"messages[{at}].role", "is not set.", "Use ROLE_SYSTEM, _USER, _ASSISTANT or _TOOL."
        )
    body: JsonObject = {"role": role, "content": message.content}
    if message.image_urls:
        images = [{"type": "image_url", "image_url": {"url": url}} for url in message.image_urls]
        body["content"] = [{"type": "text", "text": message.content}, *images]
    if message.tool_calls:
        body["tool_calls"] = [
            {"id": call.id, "function": {"name": call.name, "arguments": call.arguments}}
            for call in message.tool_calls
        ]
    if message.tool_call_id:
        body["tool_call_id"] = message.tool_call_id
    return body


def _tool(tool: pb.Tool, at: int) -> JsonObject:
    function: JsonObject = {"name": tool.name, "description": tool.description}
    if tool.parameters:
        function["parameters"] = _schema(tool.parameters, f"tools[{at}].parameters")
    return {"type": "function", "function": function}


def _schema(text: str, field: str) -> JsonObject:
    try:
        return parse_object(text.encode())
    except InvalidField as fault:
        raise InvalidField(field, fault.problem, "Send a JSON schema as text.") from fault


def _tool_choice(choice: str) -> str | JsonObject | None:
    if choice in ("", "auto", "none", "required"):
        return choice or None
    return {"type": "function", "function": {"name": choice}}


def _response_format(request: pb.ChatRequest) -> JsonObject | None:
    if not request.json_schema:
        return None
    schema = _schema(request.json_schema, "json_schema")
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}


def _session(request: pb.ChatRequest) -> str | None:
    if not request.session_id:
        return None
    if request.generation < 0:
        raise InvalidField("generation", "is negative.", "Send 0 or more.")
    return f"{request.session_id}:{request.generation}"
