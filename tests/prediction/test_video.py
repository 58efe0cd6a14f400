"""Videos: frames, size, timing and colours come through; damaged files are named."""

import json
from fractions import Fraction

import keras
import numpy as np
import pytest
from PIL import Image

from keras_ctxseg.cli import main
from keras_ctxseg.data.palettes import default_palette, overlay
from keras_ctxseg.evaluation import label_video, predict_video
from keras_ctxseg.prediction.video_file import VideoReader, VideoWriter

av = pytest.importorskip("av")

CLASSES = 4
PALETTE = default_palette(CLASSES)
NTSC = Fraction(30000, 1001)
# 8 bits through YUV and a codec that nobody sees the loss of, in flat areas.
LOSS = 8


def flat_frames(rng, count, height, width):
    """Frames of four flat quarters in random colours."""
    quarters = rng.integers(30, 226, (count, 2, 2, 3))
    rows = np.arange(height) * 2 // height
    columns = np.arange(width) * 2 // width
    return quarters[:, rows][:, :, columns].astype(np.uint8)


def write(path, frames, rate=NTSC, times=None, aspect=Fraction(1)):
    with VideoWriter(path, rate, 1 / rate, aspect) as writer:
        for index, frame in enumerate(frames):
            writer.write(frame, index if times is None else times[index])
    return path


def seconds(reader):
    return [float(frame.time * reader.time_base) for frame in reader]


def inner(frames):
    """Without the quarters' edges, where a codec halves the colours' resolution."""
    height, width = frames.shape[1:3]
    keep_rows = np.abs(np.arange(height) - height / 2) > 8
    keep_columns = np.abs(np.arange(width) - width / 2) > 8
    return frames[:, keep_rows][:, :, keep_columns].astype(int)


@pytest.mark.parametrize("size", [(48, 64), (35, 47), (720, 1280)])
def test_frames_rate_size_and_colours_survive(tmp_path, rng, size):
    frames = flat_frames(rng, 5, *size)
    with VideoReader(write(tmp_path / "a.mp4", frames, aspect=Fraction(4, 3))) as video:
        assert (video.rate, video.frames, video.pixel_aspect) == (NTSC, 5, Fraction(4, 3))
        read = list(video)
    images = np.stack([frame.image for frame in read])
    assert images.shape == frames.shape
    assert np.abs(inner(images) - inner(frames)).max() <= LOSS


def test_labelling_keeps_what_the_video_shows_when(tmp_path, rng):
    times = [0, 1, 2, 5, 9]  # a frame stands longer here and there
    frames = flat_frames(rng, 5, 48, 64)
    source = write(tmp_path / "a.mp4", frames, times=times)

    def bright(image):
        return (image.mean(axis=-1) > 128).astype(np.int32)

    seen = []
    result = label_video(
        lambda image: seen.append(image) or bright(image), source, tmp_path / "o/b.mp4", PALETTE
    )
    assert (result.frames, result.height, result.width) == (5, 48, 64)
    assert result.frames_per_second > 0 and result.seconds > 0
    with VideoReader(source) as before, VideoReader(result.output) as after:
        assert seconds(after) == pytest.approx([float(t / NTSC) for t in times], abs=1e-4)
        assert after.rate == before.rate == pytest.approx(result.rate)
    with VideoReader(result.output) as video:
        drawn = np.stack([frame.image for frame in video])
    expected = PALETTE[np.stack([bright(image) for image in seen])]
    assert np.abs(inner(drawn) - inner(expected)).max() <= LOSS
    assert [path.name for path in result.output.parent.iterdir()] == ["b.mp4"]


def test_a_model_labels_frames_as_images(model, tmp_path, rng):
    frames = flat_frames(rng, 3, 48, 64)
    source = write(tmp_path / "a.mp4", frames)
    result = predict_video(
        model, source, tmp_path / "b.mp4", PALETTE, "abcd", image_scale=0.5, opacity=0.3
    )
    with VideoReader(source) as video:
        read = np.stack([frame.image for frame in video])
    halves = read.reshape(3, 24, 2, 32, 2, 3).mean(axis=(2, 4), dtype=np.float32)
    logits = keras.ops.convert_to_numpy(model(halves)["logits"])
    logits = keras.ops.image.resize(logits, (48, 64))
    labels = keras.ops.convert_to_numpy(logits).argmax(-1)
    expected = np.stack([overlay(*pair, PALETTE, 0.3) for pair in zip(read, labels, strict=True)])
    with VideoReader(result.output) as video:
        drawn = np.stack([frame.image for frame in video])
    assert len(np.unique(labels)) > 1
    assert np.abs(drawn.astype(int) - expected).mean() < 4  # the labels' edges are sharp


@pytest.mark.parametrize("degrees", [90, 180, -90])
def test_frames_of_a_turned_camera_come_upright(tmp_path, rng, degrees):
    upright = flat_frames(rng, 2, 64, 48)
    path = tmp_path / "turned.mp4"
    with av.open(str(path), "w") as container:
        stored = [np.ascontiguousarray(np.rot90(frame, -degrees // 90)) for frame in upright]
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width = stored[0].shape[:2]
        stream.pix_fmt, stream.options = "yuv420p", {"crf": "10"}
        stream.set_display_rotation(degrees)
        for image in stored:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    with VideoReader(path) as video:
        images = np.stack([frame.image for frame in video])
    assert images.shape == upright.shape
    # Written without its colour space: the quarters differ by far more than that.
    assert np.abs(inner(images) - inner(upright)).mean() < 12


def test_damaged_files_are_named_and_leave_nothing(tmp_path, rng):
    noise = rng.integers(0, 256, (12, 64, 64, 3), dtype=np.uint8)
    good = write(tmp_path / "good.mp4", noise).read_bytes()
    half = len(good) // 2
    broken = {
        "empty": (b"", "expected a readable video file"),
        "text": (b"not a video" * 100, "expected a readable video file"),
        "torn": (good[:half], "damaged after frame"),
        "spoilt": (good[:half] + bytes(3000) + good[half + 3000 :], "damaged after frame"),
    }
    for name, (content, message) in broken.items():
        path = tmp_path / f"{name}.mp4"
        path.write_bytes(content)
        with pytest.raises(ValueError, match=f"{name}.mp4: .*{message}"):
            label_video(lambda image: image[..., 0] % 4, path, tmp_path / "out/a.mp4", PALETTE)
        assert not list((tmp_path / "out").glob("*"))
    with pytest.raises(ValueError, match="gone.mp4: .*No such file"):
        VideoReader(tmp_path / "gone.mp4")
    sound = tmp_path / "sound.mp4"
    with av.open(str(sound), "w") as container:
        stream = container.add_stream("aac", rate=16000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 2048), np.float32), "fltp", "mono")
        frame.rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(ValueError, match="sound.mp4.*a file without pictures"):
        VideoReader(sound)


def test_a_video_is_not_written_over_itself(tmp_path, rng):
    path = write(tmp_path / "a.mp4", flat_frames(rng, 2, 48, 64))
    before = path.read_bytes()
    with pytest.raises(ValueError, match="would overwrite the video"):
        label_video(lambda image: image[..., 0] % 4, path, path, PALETTE)
    assert path.read_bytes() == before


def test_the_command_takes_videos_beside_images(model, tmp_path, rng, capsys):
    run = tmp_path / "run"
    (run / "checkpoints").mkdir(parents=True)
    model.save(run / "checkpoints/best.keras")
    (run / "config.yaml").write_text(
        "name: tiny\nmodel: {name: fcn_resnet18}\ndata: {name: folder, options: {path: gone}}\n"
    )
    (run / "classes.json").write_text(json.dumps({"classes": list("abcd")}))
    frames = flat_frames(rng, 3, 48, 64)
    write(tmp_path / "clips/one.mp4", frames)
    write(tmp_path / "clips/two.mp4", frames)
    (tmp_path / "bad.avi").write_bytes(b"no")
    Image.fromarray(frames[0]).save(tmp_path / "still.png")
    names = ["clips/*.mp4", "bad.avi", "still.png"]
    words = [str(tmp_path / name) for name in names]
    out = tmp_path / "out"
    code = main(["predict", str(run), *words, "--output", str(out), "--overlay", "--format", "ids"])
    printed = capsys.readouterr()
    assert code == 1, printed.err
    assert "bad.avi: expected a readable video file" in printed.err
    assert (out / "labels/still.png").is_file()
    for name in ("one", "two"):
        assert f"{name}.mp4, 3 frames of 48x64, " in printed.out
        with VideoReader(next((out / "videos").rglob(f"{name}.mp4"))) as video:
            drawn = np.stack([frame.image for frame in video])
        labels_only = {tuple(color) for color in PALETTE}
        assert tuple(drawn[0, 5, 5]) not in labels_only
