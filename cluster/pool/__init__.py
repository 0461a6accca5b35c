"""The processes of one pool on one machine: started as one tree, ended as one tree.

    hearth up ──spawns──> supervisor (own session; driver of Ray, owner of everything below)
                            ├── gcs, raylet and agents of Ray
                            │     └── actors and replicas ── engines
                            └── run/pool.json, which says how far it is

Nothing here knows an actor: whoever composes the pool hands `supervise` the function that starts it.
"""
