"""Popular clients, unchanged, directly at an upstream and through the gateway: what each makes of the same answers."""
