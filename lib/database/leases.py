"""Leases: the right to work on one row of the queue for now."""

from __future__ import annotations

HELD = "EXISTS (SELECT FROM due WHERE lease_id = %(lease)s FOR SHARE)"
"""Only the present holder of the lease may remember: one that was overtaken would write back what it knew before."""
