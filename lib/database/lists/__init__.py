"""What operators page through: each list is a range of one index, begun behind the last row of the page before."""
