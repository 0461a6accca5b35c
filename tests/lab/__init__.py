"""Hosts to test on: several on one machine, each with namespaces, an address and a memory of its own.

    with Lab(["a", "b"]) as lab:
        lab["a"].run("ping", "-c1", lab["b"].address)

`python -m tests.lab --help` for people; docs/lab.md shows a session.
"""
