"""Okabe and Ito's colours, which the colour-blind can tell apart."""

ORANGE, SKY, GREEN = "#E69F00", "#56B4E9", "#009E73"
RED, BLUE, PINK, BLACK = "#D55E00", "#0072B2", "#CC79A7", "#000000"
