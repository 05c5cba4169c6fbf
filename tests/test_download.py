"""Downloads against a local server that breaks, refuses and lies."""

import hashlib
import shlex
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from conftest import command_line, run_program

from resnet.data.download import download
from resnet.errors import UserError

CONTENT = bytes(range(256)) * 4000
MD5 = hashlib.md5(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves CONTENT; ``breaks`` is how many answers stop in the middle, ``ranges`` whether it can resume."""

    breaks, ranges, status = 0, True, 200

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.requested: list[str | None] = []
        self.url = f"http://127.0.0.1:{self.server_port}/cifar-10-binary.tar.gz"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server, asked = self.server, self.headers.get("Range")
        server.requested.append(asked)
        if server.status != 200:
            self.send_error(server.status)
            return
        first = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and server.ranges else 0
        if first >= len(CONTENT):
            self.send_error(416)
            return
        self.send_response(206 if first else 200)
        self.send_header("Content-Length", str(len(CONTENT) - first))
        self.end_headers()
        last = len(CONTENT)
        if server.breaks:
            server.breaks -= 1
            last = first + (len(CONTENT) - first) // 2
        self.wfile.write(CONTENT[first:last])

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with Server() as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


def test_a_whole_download(server, tmp_path):
    target = tmp_path / "new/archive.tar.gz"
    download(server.url, target, MD5)
    assert target.read_bytes() == CONTENT
    assert [path.name for path in target.parent.iterdir()] == [target.name]


def test_a_broken_connection_is_resumed(server, tmp_path):
    server.breaks = 2
    download(server.url, tmp_path / "archive", MD5, pause_seconds=0.01)
    assert (tmp_path / "archive").read_bytes() == CONTENT
    first, *resumed = server.requested
    starts = [int(asked.removeprefix("bytes=").removesuffix("-")) for asked in resumed]
    assert first is None
    assert 0 < starts[0] < starts[1] < len(CONTENT)


def test_a_server_that_cannot_resume_sends_it_all_again(server, tmp_path):
    server.breaks, server.ranges = 1, False
    download(server.url, tmp_path / "archive", MD5, pause_seconds=0.01)
    assert (tmp_path / "archive").read_bytes() == CONTENT


def test_an_interrupted_download_goes_on_at_the_next_start(server, tmp_path):
    server.breaks = 100
    with pytest.raises(UserError, match=r"the connection broke 5 times .* kept in .*archive\.part"):
        download(server.url, tmp_path / "archive", MD5, pause_seconds=0.01)
    kept = (tmp_path / "archive.part").stat().st_size
    assert 0 < kept < len(CONTENT)
    assert not (tmp_path / "archive").exists()
    server.breaks, server.requested = 0, []
    download(server.url, tmp_path / "archive", MD5)
    assert server.requested == [f"bytes={kept}-"]
    assert (tmp_path / "archive").read_bytes() == CONTENT


def test_a_part_that_is_already_whole_counts(server, tmp_path):
    (tmp_path / "archive.part").write_bytes(CONTENT)
    download(server.url, tmp_path / "archive", MD5)
    assert (tmp_path / "archive").read_bytes() == CONTENT


def test_a_wrong_checksum_leaves_nothing(server, tmp_path):
    code, output = run_program(
        "download_archive", "--url", server.url, "--md5", "0" * 32, "--output", tmp_path / "archive"
    )
    assert code == 1
    assert f"wrong content: md5 {MD5} (1024000 bytes), expected {'0' * 32}" in output
    assert "Traceback" not in output
    assert not list(tmp_path.iterdir())


def test_a_missing_file_is_not_tried_again(server, tmp_path):
    server.status = 404
    code, output = run_program("download_archive", "--url", server.url, "--md5", MD5, "--output", tmp_path / "archive")
    assert code == 1
    assert f"cannot download {server.url}: the server says 404 Not Found" in output
    assert len(server.requested) == 1
    assert not list(tmp_path.iterdir())


def test_no_server(tmp_path):
    with pytest.raises(UserError, match="the connection broke 5 times"):
        download("http://127.0.0.1:9/x", tmp_path / "archive", MD5, pause_seconds=0.001)


def test_a_full_disk_names_the_file_and_keeps_what_arrived(server, tmp_path):
    command = command_line(*command_arguments(server, tmp_path))
    limited = f"trap '' XFSZ; ulimit -f 300; exec {shlex.join(command)}"
    done = subprocess.run(["bash", "-c", limited], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"cannot write {tmp_path / 'archive.part'}" in done.stderr
    assert "Traceback" not in done.stderr
    assert (tmp_path / "archive.part").read_bytes() == CONTENT[: 300 * 1024]
    assert run_program(*command_arguments(server, tmp_path))[0] == 0
    assert server.requested[-1] == f"bytes={300 * 1024}-"


def command_arguments(server, folder):
    return "download_archive", "--url", server.url, "--md5", MD5, "--output", folder / "archive"
