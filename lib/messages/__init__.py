"""What is sent to others: events for the operator's own systems."""
