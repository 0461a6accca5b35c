"""Three models in memory for two: what it costs, batched by model and first come, first served."""
