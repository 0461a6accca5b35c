"""How fast a model would run on a machine that nobody has asked yet.

    config.json, quantisation  ──work──>  Work  ──┐
    known machine, link, engine  ──────>  Rig   ──┴──model──>  seconds, and what limits
    published points  ──fit──>  constants, a few for each family of machines

Estimates, from published facts.  A machine that runs is measured, and what it measures wins.
"""
