"""The ranks of an MLX engine: our own small server around mlx-lm's batch generator.

    adapter ── HTTP on a Unix socket ──> rank 0: http, chat │ scheduler ── peers ──> other ranks
                                                            └── executor            └── executor

Rank 0 decides and every rank carries out: rank 0's scheduler makes a list of operations, its peers are
sent the same list, and each rank's executor applies it and takes one step.  The chosen tokens are rank 0's
as well, so that the ranks cannot drift apart, whatever their chips round.  A rank without work waits in a
socket.

Only a rank's process imports these modules: they need `mlx`, `mlx_lm` and `llguidance` (`make mlx`).
"""
