"""One page of all results, as HTML. It may import every other room but sharing."""
