"""Augmentations of images and label maps together, one a file; `data.augment` puts them in order.

Each draws from stateless random numbers alone, so that what becomes of example `k` of the stream
depends on the seed and on `k`. tf-models' random augmentations, and Keras', draw from stateful
generators: there, it depends on how many examples came before, and a resumed run or a parallel
`map` cannot repeat it. What tf-models has without drawing is used (`rand_augment`).

Labels are never interpolated. A pixel that shows no image has the label `OUTSIDE` on the way, and
in the end the ignore label and the padding's colour, exactly.
"""

from typing import TypeAlias

import tensorflow as tf

# float32 (height, width, 3) RGB in 0 ... 255, and int32 (height, width).
Example: TypeAlias = tuple[tf.Tensor, tf.Tensor]
