"""Which ways of writing reasoning and tool calls a model was taught, as its chat template shows."""

HERMES = "hermes"
"""`<tool_call>{"name": ..., "arguments": ...}</tool_call>`"""
THINK = "think"
"""`<think>reasoning</think>`"""

_MARKS = {"<tool_call>": HERMES, "<think>": THINK}


def of_template(template: str) -> tuple[str, ...]:
    return tuple(name for mark, name in _MARKS.items() if mark in template)


THINK_OPENINGS = ("<think>", "<think>\n", "<think>\n\n")
"""How a template ends that leaves the model in the middle of its reasoning."""


def opens_thinking(rendered: str) -> bool:
    return rendered.endswith(THINK_OPENINGS)
