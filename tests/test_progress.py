"""Progress: plain lines in a file, a bar on a terminal."""

import io
import re

from resnet.progress import Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def advance(stream):
    progress = Progress(
        200, title="resnet-20 seed 0", unit="iterations", speed_unit="images", done=50, scale=128, stream=stream
    )
    progress.step(50)
    progress.line(loss="1.234")
    progress.close()
    return stream.getvalue()


def test_a_log_file_gets_plain_lines():
    text = advance(io.StringIO())
    pattern = r"resnet-20 seed 0: 100/200 \(50 %\) iterations, \d+ images/s, ETA \d\d:\d\d, loss 1\.234\n"
    assert re.fullmatch(pattern, text), text


def test_a_terminal_gets_a_bar():
    text = advance(Terminal())
    assert "\r" in text
    assert "100/200" in text
    assert "images/s, loss 1.234" in text


def test_lines_are_not_written_all_the_time():
    stream = io.StringIO()
    progress = Progress(10**6, title="x", unit="B", speed_unit="MB", stream=stream)
    for _ in range(1000):
        progress.step()
    assert stream.getvalue() == ""
