"""Drawing one scene from its index.

What a scene is (`SceneFacts`) is drawn first, how it looks second, from a generator of its own.
So two scenes of one index that differ in a fact differ in the pixels of that fact's evidence only,
which is how the tests know where evidence can be seen.
"""

import dataclasses

import numpy as np

from keras_ctxseg.data.context_scenes.canvas import Canvas

HEIGHT, WIDTH = 96, 128

# Evidence keeps this distance, in pixels, from what it decides: a receptive field of 33 ends at 16.
REACH = 17

SHORT, LONG = (34, 38), (64, 74)  # lengths of a tram and of a train


@dataclasses.dataclass(frozen=True)
class SceneFacts:
    """What decides the labels, each by a fair coin of its own.

    Attributes:
        coast: the surface is water (with boats), not road (with cars).
        long: the vehicle on the hill is a train, not a tram.
        left_red, right_red: colours of the two signals; any red one closes the track. Nothing else
            in a scene is as red.
    """

    coast: bool
    long: bool
    left_red: bool
    right_red: bool


def draw_facts(seed: int, index: int) -> SceneFacts:
    """The facts of scene `index`: half of all tracks are open, a third of the others red twice."""
    generator = np.random.default_rng([seed, index, 0])
    coast, long, closed = (bool(coin) for coin in generator.integers(0, 2, 3))
    left, right = ((True, False), (False, True), (True, True))[generator.integers(3)]
    return SceneFacts(coast, long, closed and left, closed and right)


def draw_scene(facts: SceneFacts, seed: int, index: int) -> Canvas:
    """Draw a scene.

    Args:
        facts: what it shows.
        seed, index: decide how it looks.

    Returns:
        A canvas with `image` uint8 `(96, 128, 3)`, `label` and `instances` uint8 `(96, 128)`.
    """
    generator = np.random.default_rng([seed, index, 1])
    canvas = Canvas(HEIGHT, WIDTH, generator)
    horizon = int(generator.integers(17, 20))
    shore = horizon + REACH + int(generator.integers(5, 8))
    bank = shore + int(generator.integers(25, 29))
    _background(canvas, generator, horizon, shore, bank, facts)
    _landmarks(canvas, generator, horizon, facts)
    _vehicle_on_hill(canvas, generator, horizon, shore, facts)
    _blobs(canvas, generator, shore, bank, facts)
    _poles(canvas, generator, shore, bank)
    _track(canvas, generator, bank, facts)
    canvas.finish(noise=4.0)
    return canvas


def _background(canvas, generator, horizon, shore, bank, facts):
    rows = np.arange(HEIGHT)[:, None]
    columns = np.arange(WIDTH)[None, :]
    waves = generator.uniform(0.02, 0.05, 2)
    shifts = generator.uniform(0, 2 * np.pi, 3)
    ridge = horizon + 1.5 * np.sin(waves[0] * 2 * np.pi * columns + shifts[0])
    edge = bank + 1.5 * np.sin(waves[1] * 2 * np.pi * columns + shifts[1])
    sky = np.array([150, 190, 225]) + generator.uniform(-15, 15, 3)
    green = np.array([110, 150, 85]) + generator.uniform(-15, 15, 3)
    surface = np.array([95, 115, 135]) + generator.uniform(-12, 12, 3)

    canvas.fill(rows >= 0, sky, "sky", shade=0.8 * (rows - horizon))
    canvas.fill(rows >= ridge, green, "land", shade=0.4 * (rows - horizon))
    # Water and road look alike: ripples, or worn asphalt.
    ripples = 7 * np.sin(rows * 1.1 + 2 * np.sin(columns * 0.12 + shifts[2]))
    mask = (rows >= shore) & (rows < edge)
    canvas.fill(mask, surface, "water" if facts.coast else "road", shade=ripples)
    canvas.fill(rows >= edge, green * 0.9, "land", shade=0.0 * rows)


def _landmarks(canvas, generator, horizon, facts):
    """On the horizon, lighthouses say coast and office blocks say town."""
    slots = generator.permutation(6)[: generator.integers(2, 5)]
    for slot in slots:
        left = int(8 + slot * 20 + generator.integers(0, 8))
        height = int(generator.integers(10, 14))
        top = horizon - height
        if facts.coast:
            canvas.box(top, left, height, 6, (245, 245, 240), "landmark")
            canvas.box(top + 3, left, 3, 6, (45, 70, 150), "landmark")
            canvas.box(top + 8, left, 2, 6, (45, 70, 150), "landmark")
        else:
            canvas.box(top, left, height, 8, (60, 62, 80), "landmark")
            for window in range(top + 2, horizon - 1, 3):
                canvas.box(window, left + 1, 1, 2, (240, 205, 90), "landmark")
                canvas.box(window, left + 5, 1, 2, (240, 205, 90), "landmark")


def _vehicle_on_hill(canvas, generator, horizon, shore, facts):
    """A tram or a train: one livery, one spacing of windows, only the length differs."""
    color = np.array([200, 190, 120]) + generator.uniform(-25, 25, 3)
    short = int(generator.integers(*SHORT, endpoint=True))
    long = int(generator.integers(*LONG, endpoint=True))
    length = long if facts.long else short
    left = int(generator.integers(3, WIDTH - long - 3)) + (0 if facts.long else (long - short) // 2)
    top = int(generator.integers(horizon + 6, shore - 13))
    name = "train" if facts.long else "tram"
    instance = canvas.new_instance()
    canvas.box(top, left, 9, length, color, name, instance)
    canvas.box(top + 8, left, 1, length, color * 0.5, name, instance)
    for window in range(left + 2, left + length - 3, 5):
        canvas.box(top + 2, window, 3, 3, (70, 85, 100), name, instance)


def _blobs(canvas, generator, shore, bank, facts):
    """The same hulls are boats on water and cars on a road."""
    name = "boat" if facts.coast else "car"
    count = int(generator.integers(3, 6))
    for slot in generator.permutation(5)[:count]:
        height, width = int(generator.integers(4, 6)), int(generator.integers(13, 18))
        top = int(generator.integers(shore + 6, bank - height - 3))
        left = int(4 + slot * 24 + generator.integers(0, 24 - width))
        color = np.array([(205, 150, 70), (70, 90, 170), (225, 220, 210)][generator.integers(3)])
        canvas.blob(top, left, height, width, color + generator.uniform(-15, 15, 3), name)


def _poles(canvas, generator, shore, bank):
    """Thin structures, two pixels wide, over everything else."""
    for slot in generator.permutation(4)[: generator.integers(2, 4)]:
        left = int(16 + slot * 24 + generator.integers(0, 20))
        bottom = int(generator.integers(bank + 3, bank + 7))
        height = int(generator.integers(22, 30))
        canvas.box(bottom - height, left, height, 2, (45, 40, 40), "pole")
        canvas.box(bottom - height, left - 2, 2, 6, (45, 40, 40), "pole")


def _track(canvas, generator, bank, facts):
    """From edge to edge; closed if the signal at either end is red."""
    closed = facts.left_red or facts.right_red
    name = "closed_track" if closed else "open_track"
    top = int(generator.integers(bank + 10, HEIGHT - 10))
    canvas.box(top, 0, 9, WIDTH, (140, 115, 90), name)
    for sleeper in range(int(generator.integers(0, 6)), WIDTH, 6):
        canvas.box(top, sleeper, 9, 2, (100, 80, 65), name)
    for rail in (top + 1, top + 6):
        canvas.box(rail, 0, 1, WIDTH, (190, 190, 190), name)
    ends = int(generator.integers(2, 5)), int(generator.integers(WIDTH - 12, WIDTH - 9))
    for left, red in zip(ends, (facts.left_red, facts.right_red), strict=True):
        canvas.box(top - 5, left + 3, 7, 2, (45, 40, 40), "pole")
        canvas.box(top - 17, left - 1, 12, 10, (45, 40, 40), "pole")
        canvas.box(top - 16, left, 10, 8, (255, 40, 30) if red else (30, 235, 90), "pole")
