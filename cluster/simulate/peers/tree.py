"""A router's own prefix tree: what it sent where.  It never hears of an engine's evictions."""

from collections import defaultdict

from cluster.simulate.job import Job


class Tree:
    """For each session and node the longest prompt sent there, in tokens, as far as it is still a prefix."""

    def __init__(self) -> None:
        self._sent: dict[str, dict[str, int]] = defaultdict(dict)
        self._sizes: dict[str, int] = defaultdict(int)

    def match_tokens(self, job: Job, node: str) -> int:
        """Of the job's prompt."""
        return min(self._sent[job.session].get(node, 0), job.kept_tokens)

    def size_tokens(self, node: str) -> int:
        """All that was ever sent to the node, each prefix counted once."""
        return self._sizes[node]

    def insert(self, job: Job, node: str) -> None:
        """The prompt goes to this node; behind what it kept, all else of its session is another branch."""
        self._sizes[node] += job.input_tokens - self.match_tokens(job, node)
        sent = self._sent[job.session]
        for name in sent:
            sent[name] = min(sent[name], job.kept_tokens)
        sent[node] = job.input_tokens
