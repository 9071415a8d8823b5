"""The Triton kernels of the fused engine, and what calls each. Imports `settings/` for an
error, and `data/` for how a batch is planned."""
