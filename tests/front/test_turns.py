"""A turn at a front, over real HTTP."""

from cluster.deployments.fake import FakeEngine
from cluster.wire import Ended, Progress, Started, Tokens
from tests.support.fronts import ask, serving


async def test_a_turn_is_answered_with_its_frames_in_order() -> None:
    async with serving(FakeEngine()) as client:
        frames = await client.turn(ask("Grüße, 世界 🔥"))
    assert isinstance(frames[0], Started)
    assert frames[0].prompt_tokens == len(frames[0].prompt_ids)
    assert frames[0].continuable
    kinds = [type(frame) for frame in frames[1:]]
    assert kinds == [Progress] * kinds.count(Progress) + [Tokens] * kinds.count(Tokens) + [Ended]
    text = "".join(frame.text for frame in frames if isinstance(frame, Tokens))
    assert text == "Grüße, 世界 🔥"
    assert frames[-1] == Ended("stop", frames[0].prompt_tokens, 0, len(text.encode()))
