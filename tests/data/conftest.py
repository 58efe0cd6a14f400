"""Small folders of images and masks."""

from tests.fixtures.image_folders import own_cache, write_folder

__all__ = ["own_cache", "write_folder"]
