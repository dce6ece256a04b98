"""Simulators of the two outside services, in memory and on loopback; never part of the deployed bundle."""
