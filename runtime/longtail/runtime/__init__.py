"""What each of our processes needs to run as a service. Nothing else enters."""
