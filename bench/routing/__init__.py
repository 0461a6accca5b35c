"""The pool's routing in the simulator, against the policies of others on the same labs and sessions."""
