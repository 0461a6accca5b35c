"""What machines that are only thought of would do with models that nobody has downloaded.

Ask (models, nodes, link, context, sessions)
  ──ways──>      each way to lay a model out: memory, sessions that stay resident, seconds of a turn
  ──forecast──>  the best way for each model, the larger ones first
  ──changes──>   the same with one thing changed: what would help most
"""
