"""Shared modules of the functions in ``api/``: what is paid in Stripe is made true in the Enhance panel."""

import gc

YOUNG = 50_000
"""New objects, less those that are gone by themselves, after which Python looks for garbage while these modules are
loaded. Then nothing is garbage, and with Python's own 700 it looks a hundred times: 10 ms of a webhook's cold start."""

_USUAL = gc.get_threshold()

gc.set_threshold(YOUNG)


def loaded() -> None:
    """Have Python look for garbage as usual from now on, and not again among what was loaded; harmless to repeat.

    To be called before the first work. A page of a list that was read refers to itself in a circle: looked for as
    seldom as above, a sweep of 100,000 subscriptions would keep 280 MB of them.
    """
    if gc.get_threshold()[0] == YOUNG:
        gc.freeze()
        gc.set_threshold(*_USUAL)
