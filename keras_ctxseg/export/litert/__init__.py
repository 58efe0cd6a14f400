"""LiteRT (TFLite) files for devices."""
