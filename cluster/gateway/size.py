"""How large a prompt is before any tokenizer has seen it."""

from cluster.wire import JsonObject, TurnRequest

IMAGE_BYTES = 4096
"""What an image counts for: its tokens depend on its pixels, not on the bytes of its file."""


def prompt_bytes(request: TurnRequest, body_bytes: int) -> int:
    """Bytes of the prompt in a request whose encoding has `body_bytes`."""
    if not request.has_images:
        return body_bytes
    urls = [_url(part) for message in request.messages or () for part in _images(message)]
    return body_bytes - sum(map(len, urls)) + IMAGE_BYTES * len(urls)


def _images(message: JsonObject) -> list[JsonObject]:
    content = message.get("content")
    parts = content if isinstance(content, list) else []
    return [part for part in parts if part.get("type") == "image_url"]


def _url(part: JsonObject) -> str:
    return part["image_url"]["url"]
