"""Every setting: read once from an environment, all problems reported together, secrets never printed.

`settings` names them, `parsers` reads what was typed, `between` what fits
together, `values` is what a setting can be besides a text or a number.
"""

from lib.config.parsers import read_database_url
from lib.config.settings import REQUIRED, Policy, Setting, Settings
from lib.config.values import Alarm, Endpoint, KeyScope, Mail, Outlet, Secret, Span, Window

__all__ = [
    "REQUIRED",
    "Alarm",
    "Endpoint",
    "KeyScope",
    "Mail",
    "Outlet",
    "Policy",
    "Secret",
    "Setting",
    "Settings",
    "Span",
    "Window",
    "read_database_url",
]
