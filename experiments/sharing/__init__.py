"""Records beside those of others, and on Weights & Biases. It may import every room but report."""
