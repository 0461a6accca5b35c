"""Where a prompt's beginning is resident, whoever left it there: shared system prompts count as shared.

    token ids or text  ──hashes──>  chained block hashes  ──index──>  blocks resident by replica
    blocks resident, waits, work so far  ──choice──>  a replica

Small on purpose: the index knows blocks and replicas, the choice knows seconds; neither knows sessions.
Nothing sends hashes to a router yet: `hearth prefixes` and `bench.prefixes` alone replay prompts with it.
"""
