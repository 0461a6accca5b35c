"""`hearth down`."""

from cluster.cli.terminal import AsJson, CommandFailed, err, out, print_json, speaking


def down(as_json: AsJson = False) -> None:
    """Stop the pool on this machine: running answers end, no process and no port is left.

    Example: `hearth down`
    """
    with speaking(as_json):
        ended, left = _end(quiet=as_json)
        if as_json:
            print_json({"state": "stopped", "was_running": ended, "processes_ended": left})
        elif ended or left:
            out.print("[green]✓[/] The pool has stopped.")
            if left:
                out.print(f"  {left} processes of an earlier run had been left behind and were ended.")
        else:
            out.print("No pool was running.")


def _end(quiet: bool) -> tuple[bool, int]:
    from cluster.pool.launch import ask_to_end, clean_up
    from cluster.pool.lock import LockBusy, pool_lock
    from cluster.pool.paths import pool_paths

    paths = pool_paths()
    if not paths.home.exists():
        return False, 0
    try:
        with err.status("Stopping the pool", spinner="dots") if not quiet else err.capture():
            ended = ask_to_end(paths)  # outside the lock: it is held by an `up` that is to be stopped
            with pool_lock(paths.lock, timeout_s=60.0):
                ended = ask_to_end(paths) or ended
                return ended, clean_up(paths)
    except LockBusy as busy:
        raise CommandFailed(str(busy), "Wait for it, or end it with Ctrl-C.") from busy
