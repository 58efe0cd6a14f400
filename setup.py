"""Lets `pip` and older tools build the package; everything is declared in pyproject.toml."""

from setuptools import setup

setup()
