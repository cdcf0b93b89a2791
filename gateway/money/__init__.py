"""Money told again: stored costs by other prices, and our costs beside a provider's statement."""
