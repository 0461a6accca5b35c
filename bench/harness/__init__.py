"""What all benches share: options, raw events, facts of the machine, prompts, a light client, a pool."""
