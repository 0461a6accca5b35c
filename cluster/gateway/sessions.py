"""Which session a turn belongs to: by name where the client gives one, else by how its prompt begins."""

import hashlib
import json
import re
from collections.abc import Sequence

from cluster.core.errors import InvalidField
from cluster.core.ids import SessionKey
from cluster.wire import JsonObject

TENANT = "default"
"""Who asks, while there are no keys."""

MAX_NAME_CHARS = 256

HEADERS = ("x-session-affinity", "session_id", "x-openwebui-chat-id")
"""Headers that name a session, the first one wins; `prompt_cache_key` in the body comes before them."""

_GENERATION = re.compile(r"^(?P<session>.+):(?P<generation>\d{1,9})$", re.DOTALL)


def named(name: str, field: str) -> SessionKey:
    """The session of a name such as `<id>` or `<id>:<generation>`.  Raises InvalidField."""
    if not name.strip() or len(name) > MAX_NAME_CHARS or not name.isprintable():
        problem = f"must be 1 to {MAX_NAME_CHARS} printable characters."
        raise InvalidField(field, problem, "Leave it out to have the session told by its prompt.")
    found = _GENERATION.match(name)
    if found is None:
        return SessionKey(TENANT, name)
    return SessionKey(TENANT, found["session"], int(found["generation"]))


def by_prompt(model: str, tools: Sequence[JsonObject], messages: Sequence[JsonObject]) -> SessionKey:
    """The session of whoever sends no name: a hash of model, tools, system prefix and first user message."""
    beginning = [model, list(tools), _opening(messages)]
    digest = hashlib.sha256(json.dumps(beginning, sort_keys=True).encode())
    return SessionKey(TENANT, f"prompt-{digest.hexdigest()[:32]}")


def _opening(messages: Sequence[JsonObject]) -> list[JsonObject]:
    """The messages up to the first one of the user."""
    first = next((at for at, message in enumerate(messages) if message["role"] == "user"), len(messages) - 1)
    return list(messages[: first + 1])
