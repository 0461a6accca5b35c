"""Carrying out Load and Unload: what runs, what is asked of Serve, what the router is told.

    router ── Load, Unload ──> Loader ──> Apps (Serve)
       └──── LoaderReport ◄──────┘ └────> Book (a file that outlives the loader)

No Ray in here: whoever composes the pool hands in the Apps.
"""
