"""What the papers' equations say, measured inside small networks: `make theory`. Imports all below
it."""
