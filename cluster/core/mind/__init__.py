"""Where a turn runs and when it begins, priced in seconds that people wait.

    views ──prices, returns, harm, life──> choose ──order──> plan: which turn goes where now, and why

Plain frozen views in, decisions with their reasons out.  Knows nothing of engines, simulators or actors.
"""
