"""What our records show for a row, and whether it is the paper's number. It may import papers."""
