"""Programs for people, and the simulators that the demo and the tests run against."""
