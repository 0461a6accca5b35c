"""Messages in OpenAI's shape, checked, with the parts that models do not read left out."""

from cluster.core.errors import InvalidField
from cluster.gateway.fields import Fields
from cluster.wire import JsonObject

ROLES = ("system", "developer", "user", "assistant", "tool")


def read_messages(request: Fields) -> tuple[JsonObject, ...]:
    """Raises InvalidField."""
    messages = request.objects("messages")
    if not messages:
        raise request.fault("messages", "is missing or empty.", "Send at least one message.")
    return tuple(map(_message, messages))


def _message(message: Fields) -> JsonObject:
    role = message.word("role", ROLES)
    read: JsonObject = {"role": "system" if role == "developer" else role}
    if name := message.text("name"):
        read["name"] = name
    if role == "assistant":
        return {**read, **_assistant(message)}
    if role == "tool":
        read["tool_call_id"] = message.required_text("tool_call_id")
    read["content"] = _content(message, may_show=role in ("user", "tool"))
    return read


def _assistant(message: Fields) -> JsonObject:
    read: JsonObject = {}
    if reasoning := message.text("reasoning_content") or message.text("reasoning"):
        read["reasoning_content"] = reasoning
    calls = [_call(call) for call in message.objects("tool_calls")]
    if calls:
        read["tool_calls"] = calls
    is_silent = message.body.get("content") is None
    read["content"] = (message.text("refusal") or "") if is_silent else _content(message, may_show=False)
    return read


def _call(call: Fields) -> JsonObject:
    function = call.inner("function")
    if function is None:
        raise call.fault("function", "is missing.", 'Send {"name": ..., "arguments": "..."}.')
    said = {"name": function.required_text("name"), "arguments": function.text("arguments") or "{}"}
    return {"id": call.required_text("id"), "type": "function", "function": said}


def _content(message: Fields, may_show: bool) -> str | list[JsonObject]:
    """Text as one string; a list of parts only where there are images among them."""
    content = message.body.get("content")
    if isinstance(content, str):
        return content
    if content is None:
        raise message.fault("content", "is missing.", "Send a string or a list of parts.")
    if not isinstance(content, list):
        raise message.fault("content", "is neither a string nor a list.", "Send a string or a list of parts.")
    parts = [_part(part, may_show) for part in message.objects("content")]
    if any(part["type"] == "image_url" for part in parts):
        return parts
    return "\n".join(part["text"] for part in parts)


def _part(part: Fields, may_show: bool) -> JsonObject:
    kind = part.required_text("type")
    if kind == "text":
        return {"type": "text", "text": part.text("text") or ""}
    if kind == "refusal":
        return {"type": "text", "text": part.text("refusal") or ""}
    if kind == "image_url" and may_show:
        return {"type": "image_url", "image_url": {"url": _image(part)}}
    allowed = "text and image_url" if may_show else "text"
    raise part.fault(
        "type", f"is {kind[:40]!r}, which no model here reads.", f"Send parts of type {allowed}."
    )


def _image(part: Fields) -> str:
    """Only images that come along: a URL would make a machine of the pool call out."""
    image = part.inner("image_url")
    url = "" if image is None else image.required_text("url")
    if not url.startswith("data:image/"):
        path = part.path("image_url.url")
        remedy = "Send the image itself: data:image/png;base64,..."
        raise InvalidField(path, "is not a data: URL, and the pool fetches nothing.", remedy)
    return url
