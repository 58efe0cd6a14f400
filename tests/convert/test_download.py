"""Fetching: only whole files with the right checksum come to lie in the cache."""

import contextlib
import hashlib
import http.server
import threading
import urllib.error
import urllib.request

import numpy as np
import pytest

import keras_ctxseg as ctx
from keras_ctxseg.convert import ConversionError
from keras_ctxseg.convert import location as location_module
from keras_ctxseg.convert.location import Location, cache_folder, fetch, parse_location
from tests.convert.torch_files import write_pth
from tests.convert.torch_networks import Weights, resnet_weights

CONTENT = bytes(range(256)) * 20
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@contextlib.contextmanager
def server(content=CONTENT, promised=None):
    """Serves `content` at every path but /missing, and lists what was asked for."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(404 if self.path == "/missing" else 200)
            self.send_header("Content-Length", str(promised or len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    site = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=site.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{site.server_port}", asked
    finally:
        site.shutdown()
        site.server_close()
        thread.join()


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    return tmp_path / "keras/models/keras_ctxseg"


def _location(url, checksum=f"sha256={DIGEST}"):
    return parse_location(f"{url}#{checksum}", ())


@pytest.mark.parametrize(
    "checksum",
    [
        f"sha256={DIGEST}",
        f"sha256={DIGEST[:8].upper()}",
        f"md5={hashlib.md5(CONTENT).hexdigest()}",
        f"sha1={hashlib.sha1(CONTENT).hexdigest()}",
    ],
)
def test_a_file_is_fetched_once(cache, checksum):
    assert cache_folder() == cache
    with server() as (url, asked):
        location = _location(f"{url}/w.pth", checksum)
        path = fetch(location)
        assert path.parent == cache and path.name.endswith("-w.pth")
        assert path.read_bytes() == CONTENT
        assert fetch(location) == path
        path.write_bytes(CONTENT[:-1])  # Damaged since: fetched again.
        assert fetch(location).read_bytes() == CONTENT
    assert asked == ["/w.pth", "/w.pth"]
    assert fetch(location) == path  # The server is gone.
    assert {file.name for file in cache.iterdir()} == {path.name, f"{path.name}.sha256"}


def test_another_file_than_the_first_is_refused(cache):
    """Eight digits are 32 bits, which somebody can hit."""
    other = b"x" + CONTENT
    with server() as (url, _):
        location = Location("", f"{url}/w.pth", "sha256", "")  # any digest begins with it
        path = fetch(location)
    path.unlink()
    with server(other) as (url, _):
        location = Location("", f"{url}/w.pth", "sha256", "")
        with pytest.raises(ConversionError, match=f"another file.*sha256 {DIGEST}.*delete .*sha2"):
            fetch(location)
        assert not path.exists()
        path.write_bytes(other)  # Changed in the cache: neither used nor downloaded.
        with pytest.raises(ConversionError, match="another file"):
            fetch(location)
        (cache / f"{path.name}.sha256").write_text("damaged")
        assert fetch(location).read_bytes() == other


def test_https_is_never_left(cache, monkeypatch):
    monkeypatch.setattr(location_module, "_LOOPBACK", ())
    with server() as (url, asked):
        with pytest.raises(ConversionError, match="expected https://.*Received: 'http://127"):
            _location(f"{url}/w.pth")
        handler = location_module._SafeRedirects()
        for target in (url, "file:///etc/passwd", "http://example.org/x"):
            with pytest.raises(urllib.error.URLError, match="leads on to"):
                handler.redirect_request(urllib.request.Request(url), None, 302, "", {}, target)
    assert asked == []


def test_what_is_wrong_is_not_kept(cache):
    with server() as (url, _):
        with pytest.raises(ConversionError, match="wrong checksum.*Expected sha256 0000.*found"):
            fetch(_location(f"{url}/w.pth", f"sha256={'0' * 64}"))
        with pytest.raises(ConversionError, match="missing: cannot be fetched"):
            fetch(_location(f"{url}/missing"))
    assert list(cache.iterdir()) == []
    with pytest.raises(ConversionError, match=f"{url}/w.pth: cannot be fetched .*[Rr]efused"):
        fetch(_location(f"{url}/w.pth"))
    with (
        server(promised=len(CONTENT) + 5) as (url, _),
        pytest.raises(ConversionError, match="cannot be fetched|broke off after 5120 of 5125"),
    ):
        fetch(_location(f"{url}/w.pth"))
    with pytest.raises(ConversionError, match="cannot be fetched"):
        fetch(_location("file:///nowhere/w.pth"))
    assert list(cache.iterdir()) == []


def test_a_stopped_download_leaves_nothing(cache, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("keras_ctxseg.convert.location.os.replace", stop)
    with server() as (url, _), pytest.raises(KeyboardInterrupt):
        fetch(_location(f"{url}/w.pth"))
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("https://a/w.pth", "needs the checksum.*Received: none"),
        ("https://a/w.pth#sha256=xyz", "needs the checksum.*Received: sha256=xyz"),
        ("https://a/w.pth#sha256=12", "sha256 takes 8 to 64.*Received: 2"),
        ("https://a/w.pth#crc32=12345678", "needs the checksum"),
        ("ftp://a/w.pth#md5=" + "0" * 32, "expected a path, http"),
        ("torchvison:w.pth", "none of the sources.*Did you mean 'torchvision'?"),
    ],
)
def test_errors_about_a_location(text, message):
    with pytest.raises(ConversionError, match=message):
        parse_location(text, ctx.convert.SOURCES)


def test_locations():
    parse = lambda text: parse_location(text, ctx.convert.SOURCES)  # noqa: E731
    assert parse("timm:some/file.pth") == Location("timm", "some/file.pth")
    url = "https://a/b.pth"
    assert parse(f"timm:{url}#md5={'0' * 32}") == Location("timm", url, "md5", "0" * 32)
    for text in ctx.convert.IMAGENET.values():
        assert parse(text).is_url and parse(text).source in ctx.convert.SOURCES


def test_imagenet_weights_reach_the_backbone(rng, tmp_path, monkeypatch, caplog):
    """Through `build`, from an URL, checked, converted; the log says what was not there."""
    weights = Weights(rng)
    resnet_weights(weights, 18)
    weights.linear("fc", 512, 10)
    write_pth(tmp_path / "w.pth", dict(weights))
    content = (tmp_path / "w.pth").read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    with server(content) as (url, asked):
        place = f"torchvision:{url}/resnet18.pth#sha256={digest[:8]}"
        monkeypatch.setitem(ctx.convert.IMAGENET, "resnet18", place)
        for words in ("imagenet", place):
            model = ctx.models.build("fcn_resnet18", 3, filters=8, weights=words)
            np.testing.assert_array_equal(
                model.get_layer("backbone_stem_conv1").conv.kernel,
                weights["conv1.weight"].transpose(2, 3, 1, 0),
            )
            assert "100 weights from torchvision" in caplog.text
            assert "initial values kept in 2: head_conv, logits_classifier" in caplog.text
            caplog.clear()
        assert asked == ["/resnet18.pth"]
    with pytest.raises(ValueError, match="no ImageNet weights.*mobilenet_v2 with 112 instead"):
        ctx.models.build("fcn_mobilenet_v2", 3, width=0.35, filters=8, weights="imagenet")
    with pytest.raises(ValueError, match="'imagenet'.*Did you mean 'imagenet'?"):
        ctx.models.build("fcn_resnet18", 3, filters=8, weights="imagnet")
