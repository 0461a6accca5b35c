"""Benches: they drive what ships from outside and keep every raw event.  See METHODOLOGY.md."""
