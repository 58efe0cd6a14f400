"""TensorFlow's side of training on several replicas.

Layers, losses, metrics and models run on every backend of Keras; where they need a collective or a
loop of `tf.distribute`, they import it from here, inside a function.
"""
