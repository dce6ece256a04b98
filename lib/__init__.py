"""Shared modules of the functions in ``api/``: what is paid in Stripe is made true in the Enhance panel."""

import gc

YOUNG = 50_000
"""New objects, less those that are gone by themselves, after which Python looks for garbage among them. While a
function loads, nothing is garbage, and with Python's own 700 it looks a hundred times: 10 ms of a webhook's cold start.
What requests leave goes by itself; only what refers to itself in a circle waits for a look, some megabytes at most."""

gc.set_threshold(YOUNG)
