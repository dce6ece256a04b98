"""Shared modules of the functions in ``api/``: what is paid in Stripe is made true in the Enhance panel."""
