"""The formats of label files; without NumPy and Pillow, as the command line lists them."""

FORMATS = {
    "palette": "PNG of class ids in the classes' colours",
    "ids": "grey PNG of class ids",
    "cityscapes": "label ids and file names as Cityscapes' server expects them",
    "ade20k": "ids from 1 as ADE20K's server expects them",
}
