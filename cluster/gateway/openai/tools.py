"""Tools, the choice among them, and the format of the answer."""

import re

from cluster.gateway.fields import Fields
from cluster.wire import JsonObject

_NAME = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
_FORMATS = ("text", "json_object", "json_schema")


def read_tools(request: Fields) -> tuple[JsonObject, ...]:
    """Raises InvalidField."""
    for old, new in (("functions", "tools"), ("function_call", "tool_choice")):
        if request.body.get(old):
            raise request.fault(old, "is no longer supported.", f"Use {new}.")
    return tuple(map(_tool, request.objects("tools")))


def _tool(tool: Fields) -> JsonObject:
    tool.word("type", ("function",))
    function = tool.inner("function")
    if function is None:
        raise tool.fault("function", "is missing.", 'Send {"name": ..., "parameters": {...}}.')
    name = function.required_text("name")
    if not _NAME.fullmatch(name):
        raise function.fault("name", f"is {name[:40]!r}.", "Use up to 128 letters, digits and _ . : -")
    read: JsonObject = {"name": name}
    if description := function.text("description"):
        read["description"] = description
    parameters = function.inner("parameters")
    read["parameters"] = {"type": "object", "properties": {}} if parameters is None else parameters.body
    return {"type": "function", "function": read}


def read_tool_choice(request: Fields, tools: tuple[JsonObject, ...]) -> str | JsonObject:
    """`none`, `auto`, `required`, or one function.  Raises InvalidField."""
    choice = request.body.get("tool_choice")
    if choice is None or choice == "auto":
        return "auto"
    if choice == "none":
        return "none"
    if choice == "required":
        if not tools:
            raise request.fault("tool_choice", "is 'required' without tools.", "Send tools.")
        return choice
    return _one_function(request, tools)


def _one_function(request: Fields, tools: tuple[JsonObject, ...]) -> JsonObject:
    if isinstance(request.body["tool_choice"], str):
        request.word("tool_choice", ("none", "auto", "required"))
    choice = Fields.of(request.body["tool_choice"], "tool_choice")
    choice.word("type", ("function",))
    function = choice.inner("function")
    if function is None:
        raise choice.fault("function", "is missing.", 'Send {"name": ...}.')
    name = function.required_text("name")
    if name not in [tool["function"]["name"] for tool in tools]:
        raise function.fault("name", f"is {name[:40]!r}, which is not among the tools.", "Name one of them.")
    return {"type": "function", "function": {"name": name}}


def read_response_format(request: Fields) -> JsonObject | None:
    """None for plain text.  Raises InvalidField."""
    wanted = request.inner("response_format")
    if wanted is None or wanted.word("type", _FORMATS) == "text":
        return None
    if wanted.body["type"] == "json_object":
        return {"type": "json_object"}
    schema = wanted.inner("json_schema")
    if schema is None or schema.inner("schema") is None:
        raise wanted.fault("json_schema.schema", "is missing.", "Send the JSON schema of the answer.")
    return {"type": "json_schema", "json_schema": schema.body}
