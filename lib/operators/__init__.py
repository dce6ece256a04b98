"""What a person sees and does: the other side of the admin routes, the page and the command line."""
