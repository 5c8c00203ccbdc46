"""The room of fast paths: kernels, each held equal to its definition by the tests."""
