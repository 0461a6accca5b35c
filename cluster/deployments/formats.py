"""Which ways of writing reasoning and tool calls a model was taught, as its chat template shows."""

PLAIN = "plain"
HERMES = "hermes"
"""`<tool_call>{"name": ..., "arguments": ...}</tool_call>`"""
THINK = "think"
"""`<think>reasoning</think>`"""

_MARKS = {"<tool_call>": HERMES, "<think>": THINK}


def of_template(template: str) -> tuple[str, ...]:
    return tuple(name for mark, name in _MARKS.items() if mark in template) or (PLAIN,)


def opens_thinking(rendered: str) -> bool:
    """Whether a rendered prompt leaves the model in the middle of its reasoning."""
    return rendered.rstrip().endswith("<think>")
