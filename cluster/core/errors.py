"""Errors that reach a client, each with its wire status and its hint about retrying.

    HearthError
    ├── InvalidRequest             400 invalid_request_error
    │   ├── InvalidField               names the field, the fault and the remedy
    │   ├── InputTooLong               a text to embed over the model's window
    │   ├── ContextLengthExceeded      over the model's window
    │   └── NeverFits                  fits the window, but no node could ever hold it
    ├── InvalidApiKey              401 only where keys are on
    ├── ModelNotFound              404
    ├── RequestTooLarge            413
    ├── Overloaded                 503 wait beyond patience, queue full, or nobody there to answer
    └── ServerError                500 the pool's own fault
        └── ReplicaLost                could be neither placed again nor continued

A client reads the words: agents decide from them whether to compact, to wait or to leave for a hosted
model.  The messages are therefore part of the contract and tested as such.

Each class keeps its raw constructor arguments in `args`, so an error survives pickling between actors.
"""

from collections.abc import Sequence

MAX_RETRY_AFTER_S = 30.0
"""A client that is told to wait longer than its own limit leaves for its fallback: never tell it so."""


class HearthError(Exception):
    """An error with a place in the contract.

    `message` is for people and clients; `status` is the HTTP status; `type` and `code` are the words of
    OpenAI's error object; `param` names the offending field; `retry_after_s` is None where waiting
    cannot help.
    """

    status: int = 500
    type: str = "server_error"
    code: str = "server_error"
    should_retry: bool | None = None

    @property
    def message(self) -> str:
        return str(self)

    @property
    def param(self) -> str | None:
        return None

    @property
    def retry_after_s(self) -> float | None:
        return None

    def to_wire(self) -> dict[str, object]:
        """The OpenAI error object, without its `{"error": ...}` wrapping."""
        return {"message": self.message, "type": self.type, "param": self.param, "code": self.code}


class InvalidRequest(HearthError):
    """What was sent cannot be answered however often it is sent."""

    status = 400
    type = "invalid_request_error"
    code = "invalid_request"
    should_retry = False


class InvalidField(InvalidRequest):
    """One field is wrong.  `field` is a path such as `messages[2].content`."""

    code = "invalid_value"

    def __init__(self, field: str, problem: str, remedy: str) -> None:
        super().__init__(field, problem, remedy)
        self.field, self.problem, self.remedy = field, problem, remedy

    def __str__(self) -> str:
        return f"{self.field}: {self.problem} {self.remedy}"

    @property
    def param(self) -> str | None:
        return self.field


class InputTooLong(InvalidRequest):
    """A text to embed is longer than `window` tokens."""

    code = "context_length_exceeded"

    def __init__(self, window: int) -> None:
        super().__init__(window)
        self.window = window

    def __str__(self) -> str:
        return (
            f"input: This model's maximum context length is {self.window} tokens, and a text is longer. "
            "Cut it into several inputs."
        )

    @property
    def param(self) -> str | None:
        return "input"


class ContextLengthExceeded(InvalidRequest):
    """Prompt and output together are over the model's window.  All numbers in tokens."""

    code = "context_length_exceeded"

    def __init__(self, window: int, prompt: int, completion: int) -> None:
        super().__init__(window, prompt, completion)
        self.window, self.prompt, self.completion = window, prompt, completion

    def __str__(self) -> str:
        return overflow_words(self.window, self.prompt, self.completion)

    @property
    def param(self) -> str | None:
        return "messages"


class NeverFits(InvalidRequest):
    """Inside the model's window, yet more than any replica's KV memory, empty.  All numbers in tokens."""

    code = "context_length_exceeded"

    def __init__(self, window: int, capacity: int, prompt: int, completion: int) -> None:
        super().__init__(window, capacity, prompt, completion)
        self.window, self.capacity = window, capacity
        self.prompt, self.completion = prompt, completion

    def __str__(self) -> str:
        return (
            f"{overflow_words(self.capacity, self.prompt, self.completion)} The model's own window is "
            f"{self.window} tokens, but the largest KV memory of the pool holds {self.capacity}. Give the "
            "model more memory (`hearth doctor` shows what there is) or a smaller KV type."
        )

    @property
    def param(self) -> str | None:
        return "messages"


class InvalidApiKey(HearthError):
    """No key, or one the pool does not know."""

    status = 401
    type = "invalid_request_error"
    code = "invalid_api_key"
    should_retry = False

    def __str__(self) -> str:
        return "No API key or a wrong one. Send a key of this pool as `Authorization: Bearer KEY`."


class ModelNotFound(HearthError):
    """No deployment serves this model."""

    status = 404
    type = "invalid_request_error"
    code = "model_not_found"
    should_retry = False

    def __init__(self, model: str, known: Sequence[str] = ()) -> None:
        super().__init__(model, tuple(known))
        self.model, self.known = model, tuple(known)

    def __str__(self) -> str:
        there = ", ".join(f"`{name}`" for name in self.known) or "none yet"
        return f"The model `{self.model}` does not exist here. Models of this pool: {there}."

    @property
    def param(self) -> str | None:
        return "model"


class RequestTooLarge(HearthError):
    """The body is over the limit.  Sizes in bytes."""

    status = 413
    type = "invalid_request_error"
    code = "request_too_large"
    should_retry = False

    def __init__(self, limit: int, size: int | None = None) -> None:
        super().__init__(limit, size)
        self.limit, self.size = limit, size

    def __str__(self) -> str:
        sent = "is over" if self.size is None else f"has {self.size} bytes, over"
        return (
            f"The request body {sent} the limit of {self.limit} bytes. "
            "Send less, or raise `gateway.max_body_bytes`."
        )


class Overloaded(HearthError):
    """The turn would wait longer than its patience, or the queue is full.  Always 503, never 429:
    a 429 makes clients put the whole provider on a cooldown."""

    status = 503
    type = "overloaded_error"
    code = "overloaded"

    def __init__(self, reason: str, estimate_s: float | None = None) -> None:
        super().__init__(reason, estimate_s)
        self.reason, self.estimate_s = reason, estimate_s

    def __str__(self) -> str:
        wait = "" if self.estimate_s is None else f" Estimated wait: {self.estimate_s:.0f} s."
        return f"The pool is overloaded: {self.reason}.{wait}"

    @property
    def retry_after_s(self) -> float | None:
        return min(max(self.estimate_s or 1.0, 1.0), MAX_RETRY_AFTER_S)


class ServerError(HearthError):
    """Something of ours failed.  `detail` must hold nothing private."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail

    def __str__(self) -> str:
        return self.detail


class ReplicaLost(ServerError):
    """The engine or its node went away and the answer could not go on elsewhere."""

    def __str__(self) -> str:
        return f"The replica answering this turn was lost and no other could go on: {self.detail}"


def overflow_words(limit: int, prompt: int, completion: int) -> str:
    """The sentence that agents recognise as an overflow and read the count from."""
    return (
        f"This model's maximum context length is {limit} tokens. However, you requested "
        f"{prompt + completion} tokens ({prompt} in the messages, {completion} in the completion). "
        "Please reduce the length of the messages or completion. (context_length_exceeded)"
    )
