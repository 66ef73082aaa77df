"""File descriptors kept quiet: nothing reaches the screen meanwhile, nothing of it is lost, and all is as before."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from reasonrank_pyserini.first_stages.java.output import quiet_fds


def test_quiet_fds_keeps_every_writer_off_the_screen_and_its_words(capfd: pytest.CaptureFixture[str]) -> None:
    with quiet_fds() as captured:
        os.write(1, b"one ")
        subprocess.run([sys.executable, "-c", "import sys; print('two ', file=sys.stderr)"], check=True)
        thread = threading.Thread(target=os.write, args=(2, b"three"))
        thread.start()
        thread.join()
    os.write(1, b"after")
    assert captured.text.split() == ["one", "two", "three"]
    assert capfd.readouterr() == ("after", "")


def test_quiet_fds_comes_back_from_an_error_with_what_was_said(capfd: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        with quiet_fds():
            os.write(2, b"the reason")
            raise ValueError("wrong")

    with pytest.raises(ValueError, match="wrong") as caught:
        fail()
    assert caught.value.__notes__ == ["Java's output: the reason"]
    os.write(2, b"after")
    assert capfd.readouterr() == ("", "after")


def test_quiet_fds_of_several_threads_leave_the_descriptors_as_they_were(
    capfd: pytest.CaptureFixture[str],
) -> None:
    def speak(number: int) -> None:
        for _ in range(20):
            with quiet_fds() as captured:
                os.write(1, b"%d" % number)
            assert captured.text == str(number)

    threads = [threading.Thread(target=speak, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    os.write(1, b"after")
    assert capfd.readouterr().out == "after"
