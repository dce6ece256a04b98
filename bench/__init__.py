"""Measurements that a person starts; nothing here runs with the tests."""
