"""Memory truth: from what a model's files say to the bytes that its weights and its sessions take.

    config.json | GGUF header  ──read──>  ModelShape  ──cache──>   bytes a token, bytes a sequence
                                                      ──weights──> bytes of weights a rank

Pure arithmetic on fields, never on a model's name.  What a field of an unknown kind hides is taken at its
upper bound, and said.
"""
