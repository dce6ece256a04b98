"""The sweep: whatever events were lost, both sides are compared and what differs is made due."""
