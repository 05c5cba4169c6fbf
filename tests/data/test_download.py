"""Downloads against a local server that breaks, refuses and lies."""

import functools
import hashlib
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
from conftest import full_disk, run_program

from resnet import locks
from resnet.data.archive import archive_names
from resnet.data.download import download
from resnet.errors import UserError

CONTENT = bytes(range(256)) * 4000
MD5 = hashlib.md5(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves CONTENT.

    Attributes:
        breaks: how many answers stop early, after ``bytes_before`` or half of what they should send.
        ranges: whether it can resume.
        statuses: what it says before it serves; the last one for ever if it is ``status``.
        headers: what it sends besides.
        length: whether it says how long the file is.
        changes_after: how many answers have the entity tag "1"; later ones have "2".
    """

    breaks, bytes_before, ranges, status, length, changes_after = 0, None, True, 200, True, None

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.requested: list[str | None] = []
        self.statuses: list[int] = []
        self.headers: dict[str, str] = {}
        self.url = f"http://127.0.0.1:{self.server_port}/cifar-10-binary.tar.gz"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server, asked = self.server, self.headers.get("Range")
        server.requested.append(asked)
        if (status := server.statuses.pop(0) if server.statuses else server.status) != 200:
            self.send_response(status)
            self.send_fields(0)
            return
        tag = None
        if server.changes_after is not None:
            tag = '"1"' if len(server.requested) <= server.changes_after else '"2"'
        content = b"earlier " + CONTENT if tag == '"1"' else CONTENT
        resumes = asked and server.ranges and self.headers.get("If-Range", tag) == tag
        first = int(asked.removeprefix("bytes=").removesuffix("-")) if resumes else 0
        if first >= len(content):
            self.send_error(416)
            return
        self.send_response(206 if first else 200)
        if tag:
            self.send_header("ETag", tag)
        self.send_fields(len(content) - first)
        last = len(content)
        if server.breaks:
            server.breaks -= 1
            last = first + (server.bytes_before or (len(content) - first) // 2)
        self.wfile.write(content[first:last])

    def send_fields(self, length):
        if self.server.length:
            self.send_header("Content-Length", self.server.headers.pop("Content-Length", str(length)))
        for name, value in self.server.headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with Server() as running:
        threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
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
    server.breaks, server.bytes_before, server.statuses = 1, 1000, [200, 503, 503, 503, 503, 503]
    with pytest.raises(UserError, match=r"5 attempts have brought nothing .*503.* kept in .*archive\.part"):
        download(server.url, tmp_path / "archive", MD5, pause_seconds=0.001)
    kept = (tmp_path / "archive.part").stat().st_size
    assert kept == 1000, "less than a piece is kept, too"
    assert not (tmp_path / "archive").exists()
    server.requested = []
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


def test_attempts_that_bring_something_do_not_count(server, tmp_path):
    server.breaks, server.bytes_before = 12, 60_000
    download(server.url, tmp_path / "archive", MD5, pause_seconds=0.001)
    assert (tmp_path / "archive").read_bytes() == CONTENT
    assert server.requested == [None, *(f"bytes={60_000 * count}-" for count in range(1, 13))]


def test_a_server_that_is_busy_is_asked_again_when_it_says(server, tmp_path, monkeypatch):
    pauses = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    server.statuses, server.headers = [503, 429, 500, 502], {"Retry-After": "7"}
    download(server.url, tmp_path / "archive", MD5, pause_seconds=2)
    assert (tmp_path / "archive").read_bytes() == CONTENT
    assert pauses == [7, 7, 8, 16], "what it asks for, or the growing pause where that is longer"


def test_a_server_that_asks_to_wait_for_a_day_is_not_waited_for(server, tmp_path):
    server.status, server.headers = 503, {"Retry-After": "86400"}
    with pytest.raises(UserError, match=r"the server says 503 .* asks to wait 86400 s"):
        download(server.url, tmp_path / "archive", MD5)


def test_what_a_broken_answer_has_brought_is_not_lost_where_the_next_starts_again(server, tmp_path):
    (tmp_path / "archive.part").write_bytes(CONTENT[:500_000])
    server.ranges, server.breaks, server.bytes_before, server.statuses = False, 1, 1000, [200, *[503] * 5]
    with pytest.raises(UserError, match="500000 bytes are kept"):
        download(server.url, tmp_path / "archive", MD5, pause_seconds=0.001)
    assert (tmp_path / "archive.part").read_bytes() == CONTENT[:500_000]


def test_a_file_that_changes_on_the_server_is_downloaded_anew(server, tmp_path, capsys):
    server.breaks, server.changes_after = 1, 1
    download(server.url, tmp_path / "archive", MD5, pause_seconds=0.001)
    assert (tmp_path / "archive").read_bytes() == CONTENT
    assert "the file has changed on the server; downloading it from the start" in capsys.readouterr().out


@pytest.mark.parametrize("kept", [b"another file", b"another file" + CONTENT])
def test_a_part_of_another_file_is_discarded(server, tmp_path, capsys, kept):
    (tmp_path / "archive.part").write_bytes(kept)
    download(server.url, tmp_path / "archive", MD5, pause_seconds=0.001)
    assert (tmp_path / "archive").read_bytes() == CONTENT
    assert "were not of this file; downloading it from the start" in capsys.readouterr().out


def test_a_server_that_says_no_length_is_asked_for_more(server, tmp_path):
    server.length, server.breaks = False, 2
    download(server.url, tmp_path / "archive", MD5, pause_seconds=0.001)
    assert (tmp_path / "archive").read_bytes() == CONTENT
    assert len(server.requested) == 3


def test_a_length_that_is_no_number_is_one_line(server, tmp_path):
    server.headers = {"Content-Length": "abc"}
    with pytest.raises(UserError, match="the server says that its length is 'abc'"):
        download(server.url, tmp_path / "archive", MD5)


def test_a_file_that_says_that_it_is_compressed_is_kept_as_it_is(server, tmp_path):
    server.headers = {"Content-Encoding": "gzip"}
    download(server.url, tmp_path / "archive", MD5)
    assert (tmp_path / "archive").read_bytes() == CONTENT


def test_two_processes_download_a_file_once(server, tmp_path, capsys):
    target = tmp_path / "archive"
    with locks.file_lock(target, "downloading"):
        second = threading.Thread(target=download, args=(server.url, target, MD5))
        second.start()
        while "waiting for process" not in capsys.readouterr().out:
            time.sleep(0.01)
        target.write_bytes(CONTENT)
    second.join()
    assert server.requested == []
    assert "is there already" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["archive"]


def test_names_of_archives_are_plain_and_tell_them_apart():
    paths = (
        "https://example.org/~a/cifar-10-binary.tar.gz",
        "https://example.org/cifar+10.tar.gz?download=1",
        "https://example.org/a&touch X;$(id){y}'.tar",
        "https://example.org/%2e%2e%2fb%20c.zip",
        "https://example.org/train/content",
        "https://example.org/val/Content/",
        "https://example.org/val/CONTENT?x=/../../etc/passwd#y",
        "https://example.org/..",
        "https://example.org/été.tar",
        "https://example.org",
        "https://example.org/" + 300 * "x" + ".tar.gz",
        "https://example.org/-rf",
    )
    archives = [{"url": url, "md5": f"{number:032x}"[::-1]} for number, url in enumerate(paths)]
    names = archive_names(archives)
    assert list(names.values()) == archives
    assert next(iter(names)) == "cifar-10-binary.tar.gz", "as it was"
    assert list(names)[1].endswith("-cifar_10.tar.gz")
    for name in names:
        assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{,99}", name), name
    again = archive_names([archives[0], {**archives[0], "url": "https://mirror.org/cifar-10-binary.tar.gz"}])
    assert list(again) == ["cifar-10-binary.tar.gz"], "the same file from another place"


def test_a_missing_file_is_not_tried_again(server, tmp_path):
    server.status = 404
    code, output = run_program("download_archive", "--url", server.url, "--md5", MD5, "--output", tmp_path / "archive")
    assert code == 1
    assert f"cannot download {server.url}: the server says 404 Not Found" in output
    assert len(server.requested) == 1
    assert not list(tmp_path.iterdir())


def test_no_server(tmp_path):
    with pytest.raises(UserError, match="5 attempts have brought nothing"):
        download("http://127.0.0.1:9/x", tmp_path / "archive", MD5, pause_seconds=0.001)


@pytest.mark.parametrize(("size", "sent"), [(300 * 1024, None), (1000, 2000)])
def test_a_full_disk_names_the_file_and_keeps_what_arrived(server, tmp_path, size, sent):
    if sent:
        server.breaks, server.bytes_before = 1, sent
    with full_disk(size):
        code, output = run_program(*command_arguments(server, tmp_path))
    assert code == 1
    assert f"cannot write {tmp_path / 'archive.part'}" in output
    assert "Traceback" not in output
    assert (tmp_path / "archive.part").read_bytes() == CONTENT[:size]
    assert run_program(*command_arguments(server, tmp_path))[0] == 0
    assert server.requested[-1] == f"bytes={size}-"


def command_arguments(server, folder):
    return "download_archive", "--url", server.url, "--md5", MD5, "--output", folder / "archive"


@pytest.fixture
def address(tmp_path):
    """The address of a server of ``tmp_path``."""
    handler = functools.partial(SimpleHTTPRequestHandler, directory=tmp_path)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_an_archive_is_downloaded_and_checked(address, tmp_path):
    (tmp_path / "a.tar").write_bytes(b"content")
    command = "download_archive", "--url", f"{address}/a.tar", "--output", tmp_path / "new/b.tar"
    assert run_program(*command, "--md5", hashlib.md5(b"content").hexdigest())[0] == 0
    assert (tmp_path / "new/b.tar").read_bytes() == b"content"
    (tmp_path / "new/b.tar").unlink()
    code, output = run_program(*command, "--md5", "0" * 32, "--hint", "Check data.voc.md5 in config.yaml")
    assert code == 1
    assert "wrong content" in output
    assert "Check data.voc.md5 in config.yaml" in output
    assert not list((tmp_path / "new").iterdir())


def test_an_address_that_is_none_is_named(tmp_path):
    for url, reason in (("ftp://x/y", "No connection adapters"), ("a.tar", "No scheme supplied")):
        code, output = run_program("download_archive", "--url", url, "--md5", "0", "--output", tmp_path / "b.tar")
        assert code == 1
        assert f"cannot download {url}: " in output
        assert reason in output
        assert "Traceback" not in output
