"""What the admin routes answer, as types: the routes, the OpenAPI document and the page share them."""
