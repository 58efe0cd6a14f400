"""What every export shares: its arguments checked, its card, published whole or not at all."""
