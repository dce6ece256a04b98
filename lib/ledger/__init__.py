"""Money that moves: each payment with every number of it, what went back, and what is disputed."""
