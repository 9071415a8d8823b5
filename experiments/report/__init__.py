"""One page of all results, as HTML. It may import every lower package."""
