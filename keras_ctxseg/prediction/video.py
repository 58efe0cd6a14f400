"""A video in, a video out: every frame labelled, one at a time."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from keras_ctxseg.data.palettes import colorize, overlay
from keras_ctxseg.data.resampling import scale_image
from keras_ctxseg.inference.full_size import check_num_classes
from keras_ctxseg.inference.predictor import Predictor
from keras_ctxseg.inference.protocol import Protocol
from keras_ctxseg.prediction.progress import track
from keras_ctxseg.prediction.video_file import VideoReader, VideoWriter


@dataclass(frozen=True)
class PredictedVideo:
    """What was written for one video.

    Attributes:
        path: the video file.
        output: the MP4 file, of the same height, width and timing; without sound.
        frames: how many.
        height: in pixels.
        width: in pixels.
        rate: frames a second that the video shows, on average.
        seconds: that the work took: decoding, model, drawing and encoding.
        frames_per_second: that were worked off after the first frame, which pays for setting up.
    """

    path: Path
    output: Path
    frames: int
    height: int
    width: int
    rate: float
    seconds: float
    frames_per_second: float


def predict_video(
    model: keras.Model,
    path: str | os.PathLike,
    output: str | os.PathLike,
    palette: np.ndarray,
    class_names: Sequence[str],
    image_scale: float = 1.0,
    opacity: float = 1.0,
    progress: bool = False,
    protocol: Protocol | None = None,
    batch_size: int = 8,
) -> PredictedVideo:
    """`label_video` by a model, each frame for itself.

    Args:
        model: takes float RGB images in 0 ... 255; returns logits, or a dict with "logits".
        path: of the video, in any format that FFmpeg reads.
        output: path of the MP4 file; overwritten.
        palette: uint8 (classes, 3) RGB.
        class_names: one name for each class.
        image_scale: factor on the frames before they go through the model, as in training.
        opacity: of the colours over the frame; 1 shows the colours only.
        progress: draw a progress bar with the throughput in the terminal.
        protocol: scales, mirror images, windows; the plain prediction where missing.
        batch_size: most windows that go through the model together.

    Raises:
        ValueError: not a video, a damaged one, frames that the model does not take, or names and
            model disagree on the classes.
    """
    check_num_classes(model, len(class_names))
    predictor = Predictor(model, protocol, batch_size)

    def label_frame(image: np.ndarray) -> np.ndarray:
        scaled = scale_image(image, image_scale).numpy()
        return predictor.label(scaled, image.shape[:2], str(path))

    return label_video(label_frame, path, output, palette, opacity, progress)


def label_video(
    label_frame: Callable[[np.ndarray], np.ndarray],
    path: str | os.PathLike,
    output: str | os.PathLike,
    palette: np.ndarray,
    opacity: float = 1.0,
    progress: bool = False,
) -> PredictedVideo:
    """Labels each frame of a video and writes the colours as a video.

    One frame is in memory at a time. Where the file is damaged, nothing is written.

    Args:
        label_frame: from uint8 (height, width, 3) RGB to class ids (height, width).
        path: of the video, in any format that FFmpeg reads.
        output: path of the MP4 file; overwritten.
        palette: uint8 (classes, 3) RGB.
        opacity: of the colours over the frame; 1 shows the colours only.
        progress: draw a progress bar with the throughput in the terminal.

    Raises:
        ValueError: names the file: not a video, or damaged.
    """
    path, output = Path(path), Path(output)
    with VideoReader(path) as video:
        if output.exists() and output.samefile(path):
            raise ValueError(f"{path}: the result would overwrite the video. Choose another output")
        began = after_first = time.perf_counter()
        count = 0
        with VideoWriter(output, video.rate, video.time_base, video.pixel_aspect) as writer:
            for frame in track(video, f"{path.name}", video.frames, progress, unit="frames/s"):
                labels = label_frame(frame.image)
                drawn = (
                    colorize(labels, palette)
                    if opacity == 1
                    else overlay(frame.image, labels, palette, opacity)
                )
                writer.write(drawn, frame.time)
                if not count:
                    after_first = time.perf_counter()
                count += 1
    end = time.perf_counter()
    steady = (count - 1) / (end - after_first) if count > 1 else 1 / (end - began)
    height, width = labels.shape
    return PredictedVideo(
        path, output, count, height, width, float(video.rate), end - began, steady
    )
