"""The room of fast paths: portable and native kernels, each held equal to its definition by tests."""
