"""The demo: a small real model to talk to offline, and sample traffic."""
