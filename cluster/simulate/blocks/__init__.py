"""Prompts as blocks on equal nodes: what of them is found again, and how even the work is.

    trace or made prompts  ──replay──>  one node after another, by a policy  ──figures──>
                             └──────>  one cache as large as all of them: the bound

Open loop: prompts come when they came, however long they wait.  Each node has an LRU cache of blocks.
"""
