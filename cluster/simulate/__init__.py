"""A lab that is not there: the same decisions, a virtual clock.

    trace + lab  ──world──>  one event after another  ──policy──>  where each turn runs  ──figures──>

Knows `cluster.core` and `cluster.config` alone.  No clock and no randomness but those it is given.
"""
