"""Video files frame by frame: one frame in memory, size and timing kept."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

SUFFIXES = (".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi", ".mpg", ".mpeg")
_BT709 = 1  # FFmpeg's number of that colour space, its primaries and its transfer curve
_QUALITY = "18"  # x264's scale: visually lossless


def is_video(path: str | os.PathLike) -> bool:
    """Whether a path has the name of a video file."""
    return Path(path).suffix.lower() in SUFFIXES


@dataclass(frozen=True)
class Frame:
    """One picture of a video.

    Attributes:
        image: (height, width, 3) uint8 RGB, upright.
        time: since the first frame, in ticks of the reader's `time_base`.
    """

    image: np.ndarray
    time: int


class VideoReader:
    """Reads the frames of a video's first picture stream, in order, each once.

    A phone's note that its frames lie on their side is followed, so frames come upright.

    Attributes:
        rate: frames a second, on average.
        time_base: seconds of a tick.
        frames: how many the file says it holds, or an estimate from its duration; None where it
            does not say.
        pixel_aspect: width of a pixel over its height.

    Raises:
        ValueError: names the file: not a video, without pictures, or damaged. Damage may show
            first while frames are read.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = Path(path)
        self._av = _library()
        try:
            self._container = self._av.open(str(path))
        except self._av.FFmpegError as error:
            raise ValueError(
                f"{path}: expected a readable video file. Found: {error.strerror}"
            ) from error
        if not self._container.streams.video:
            self._container.close()
            raise ValueError(f"{path}: expected a video file. Found: a file without pictures")
        self._stream: Any = self._container.streams.video[0]
        self._stream.thread_type = "AUTO"
        self.rate = Fraction(self._stream.average_rate or self._stream.guessed_rate or 25)
        self.time_base = Fraction(self._stream.time_base or 1 / self.rate)
        self.pixel_aspect = Fraction(self._stream.sample_aspect_ratio or 1)
        self.frames = self._stream.frames or round(self._seconds() * self.rate) or None

    def __enter__(self) -> VideoReader:
        return self

    def __exit__(self, *_) -> None:
        self._container.close()

    def __iter__(self) -> Iterator[Frame]:
        count, first, last = 0, 0, -1
        size: dict[str, int] = {}
        tick = max(1, round(1 / (self.rate * self.time_base)))
        try:
            for frame in self._container.decode(self._stream):
                # A stream may change its size midway; the written one cannot.
                size = size or {"width": frame.width, "height": frame.height}
                image = frame.to_ndarray(format="rgb24", **size)
                first = first if count else frame.pts or 0
                time = last + tick if frame.pts is None else frame.pts - first
                last = max(time, last + 1)  # in damaged files time may stand still
                yield Frame(np.ascontiguousarray(np.rot90(image, round(frame.rotation / 90))), last)
                count += 1
        except self._av.FFmpegError as error:
            raise ValueError(
                f"{self.path}: the video is damaged after frame {count}: {error.strerror}"
            ) from error
        if not count:
            raise ValueError(f"{self.path}: expected a video with at least one frame. Found: none")
        # A torn end may decode without an error. (Trimmed files show fewer frames than they hold,
        # but as long as they say.)
        if count < self._stream.frames and (last + tick) * self.time_base < 0.9 * self._seconds():
            raise ValueError(
                f"{self.path}: the video is damaged after frame {count} of {self._stream.frames}"
            )

    def _seconds(self) -> float:
        return (self._container.duration or 0) / self._av.time_base


class VideoWriter:
    """Writes an MP4 file (H.264) of the size and with the times of the frames it is given.

    The file appears under its name when all went well; otherwise nothing stays. Colours keep full
    resolution where height or width is odd, and half of it elsewhere, which every player shows.

    Args:
        path: ends in `.mp4`.
        rate: frames a second, on average.
        time_base: seconds of a tick.
        pixel_aspect: width of a pixel over its height.
    """

    def __init__(self, path: Path, rate: Fraction, time_base: Fraction, pixel_aspect: Fraction):
        self.path = path
        self._partial = path.with_name(f"{path.stem}.partial.mp4")
        self._rate, self._time_base, self._pixel_aspect = rate, time_base, pixel_aspect
        self._av = _library()
        self._stream: Any = None

    def __enter__(self) -> VideoWriter:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._container = self._av.open(str(self._partial), "w", options={"movflags": "faststart"})
        return self

    def __exit__(self, kind, *_) -> None:
        try:
            if kind is None and self._stream is not None:
                self._container.mux(self._stream.encode(None))
            self._container.close()
            if kind is None:
                self._partial.replace(self.path)
        finally:
            with contextlib.suppress(OSError):
                self._partial.unlink(missing_ok=True)

    def write(self, image: np.ndarray, time: int) -> None:
        """Appends a frame, uint8 (height, width, 3) RGB, at a time in ticks."""
        if self._stream is None:
            self._open(*image.shape[:2])
        frame = self._av.VideoFrame.from_ndarray(image, format="rgb24")
        frame = frame.reformat(format=self._stream.pix_fmt, dst_colorspace="ITU709")
        frame.pts, frame.time_base = time, self._time_base
        self._container.mux(self._stream.encode(frame))

    def _open(self, height: int, width: int) -> None:
        known = "libx264" in self._av.codecs_available
        stream = self._container.add_stream("libx264" if known else "mpeg4", rate=self._rate)
        stream.width, stream.height = width, height
        stream.pix_fmt = "yuv444p" if known and (height % 2 or width % 2) else "yuv420p"
        stream.options = {"crf": _QUALITY} if known else {"qscale": "2"}
        context = stream.codec_context
        context.time_base = self._time_base
        context.sample_aspect_ratio = self._pixel_aspect
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        self._stream = stream


def _library():
    try:
        import av
    except ImportError:
        raise ValueError(
            "Videos need the package `av`: pip install 'keras_ctxseg[video]', or pip install av"
        ) from None
    # Its log stays off, as it is by default: with it, damaged files stop decoding threads for good.
    return av
