"""Rewriting of inference graphs before export."""
