"""The Enhance panel: `client` its calls as model objects, `transport` the network, `answers` what an answer means,
`rows` what the objects in it say.

Facts about the panel: its OpenAPI description (orchd 12.23) and what shipping integrations observed.
"""

from lib.enhance_client.client import EnhanceClient
from lib.enhance_client.rows import Org, Website

__all__ = ["EnhanceClient", "Org", "Website"]
