"""What our records say of a row, and whether that is the paper's number. It may import papers."""
