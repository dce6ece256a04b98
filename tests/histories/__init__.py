"""Random histories of money against an oracle that knows only sentences.

`books` and `account` are a tiny Stripe of their own, `wire` shows it as the real API would, `player` lets the product
look at it over a panel in memory, `sentences` judge what came of it, and `story` draws histories and tells them.
"""
