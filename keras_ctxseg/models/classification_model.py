"""The Keras model that networks for whole images are built as."""

import keras


@keras.saving.register_keras_serializable("keras_ctxseg")
class ClassificationModel(keras.Model):
    """A functional model from images to a dict with one output, trained from one label an image.

    Call arguments:
        images: `(batch, height, width, 3)`, float, RGB in 0...255.

    Call returns:
        A dict with `logits` `(batch, num_classes)`, float32.
    """

    @property
    def num_classes(self) -> int:
        """Number of classes that `logits` tells apart."""
        return self.output["logits"].shape[-1]
