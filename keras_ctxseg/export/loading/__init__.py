"""Exported files of every kind as one object that labels images."""
