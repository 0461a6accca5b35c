"""Prompts that share beginnings on equal nodes: hits against one pooled cache, and how even the work is."""
