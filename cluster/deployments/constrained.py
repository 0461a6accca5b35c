"""Turns whose answer must have a form: a JSON schema for the engine, and deltas for the client.

A required tool becomes a schema of ours, `{"name": ..., "arguments": ...}`, because an engine's own chat
enforces it only for the templates it recognises.
"""

import json
from collections.abc import Sequence

from cluster.core.errors import InvalidField
from cluster.deployments import formats
from cluster.wire import JsonObject, TurnRequest

# Without this the grammar allows white space without end, and small models like to write it.
_COMPACT = {"x-guidance": {"whitespace_flexible": False}}


def schema_of(request: TurnRequest) -> JsonObject:
    """The JSON schema of the whole answer.  Raises InvalidField."""
    return {**_schema(request), **_COMPACT}


def _schema(request: TurnRequest) -> JsonObject:
    if forces_tool(request):
        return {"anyOf": [_call_schema(tool) for tool in _callable_tools(request)]}
    wanted = request.response_format or {}
    if wanted.get("type") == "json_object":
        return {"type": "object"}
    schema = (wanted.get("json_schema") or {}).get("schema")
    if wanted.get("type") != "json_schema" or not isinstance(schema, dict):
        raise InvalidField(
            "response_format",
            "is neither `json_object` nor a `json_schema` with its `schema`.",
            'Send {"type": "json_schema", "json_schema": {"name": ..., "schema": {...}}}.',
        )
    return schema


def forces_tool(request: TurnRequest) -> bool:
    return bool(request.tools) and (
        isinstance(request.tool_choice, dict) or request.tool_choice == "required"
    )


def _callable_tools(request: TurnRequest) -> Sequence[JsonObject]:
    if not isinstance(request.tool_choice, dict):
        return request.tools
    wanted = (request.tool_choice.get("function") or {}).get("name")
    found = [tool for tool in request.tools if tool["function"]["name"] == wanted]
    if not found:
        raise InvalidField(
            "tool_choice", f"names the function {wanted!r}, which is not in `tools`.", "Name one of them."
        )
    return found


def _call_schema(tool: JsonObject) -> JsonObject:
    function = tool["function"]
    parameters = function.get("parameters") or {"type": "object"}
    return {
        "type": "object",
        "properties": {"name": {"const": function["name"]}, "arguments": parameters},
        "required": ["name", "arguments"],
        "additionalProperties": False,
    }


def tool_delta(text: str, turn: str) -> JsonObject | None:
    """OpenAI's delta of the one call in `text`; None where it was cut before its end."""
    try:
        call = json.loads(text)
    except ValueError:
        return None
    arguments = json.dumps(call["arguments"], ensure_ascii=False)
    function = {"name": call["name"], "arguments": arguments}
    return {"tool_calls": [{"index": 0, "id": f"call_{turn}", "type": "function", "function": function}]}


def opening(request: TurnRequest, rendered: str, known: Sequence[str]) -> str:
    """What goes before the form: the end of open reasoning, and the mark of a call where there is one."""
    end = "</think>\n" if formats.opens_thinking(rendered) else ""
    return end + ("<tool_call>\n" if forces_tool(request) and formats.HERMES in known else "")
