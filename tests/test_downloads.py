from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path

from hub_server import COMMIT, HubServer, run_python

SCRIPT = """
import json, sys, time
from reasonrank_pyserini.files.downloads import HubFile, WebFile
from reasonrank_pyserini.errors import InputError

time.sleep = lambda seconds: None  # the hub client waits between its attempts

def outcome(file):
    before = file.cached()
    try:
        content = file.fetch().read_bytes()
    except InputError as error:
        return {"error": str(error)}
    return {"before": before is not None, "after": file.cached() == file.fetch(), "bytes": len(content)}

kinds = {"hub": HubFile, "web": WebFile}
print(json.dumps([outcome(kinds[kind](**arguments)) for kind, arguments in json.loads(sys.argv[1])]))
"""

Asked = tuple[str, dict[str, object]]


def body(name: str) -> bytes:
    return name.encode() * 10_000


def hub(name: str, **known: object) -> Asked:
    return "hub", {"repo": "owner/set", "path": name, "revision": COMMIT, **known}


def web(name: str, content: bytes | None = None) -> Asked:
    content = body(name) if content is None else content
    url = f"https://raw.githubusercontent.com/owner/tools/{COMMIT}/{name}"
    return "web", {"url": url, "sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}


def by_blob(name: str, size: int | None = None) -> Asked:
    """A raw file of which only the git blob id is known."""
    kind, arguments = web(name)
    return kind, {"url": arguments["url"], "git_blob": git_blob(body(name)), "size": size}


def git_blob(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def left(folder: Path) -> list[Path]:
    """The files that downloads have left in the cache."""
    return [path for path in (folder / "cache" / "files").rglob("*") if path.is_file()]


def verified(name: str) -> dict[str, object]:
    return {"size": len(body(name)), "md5": hashlib.md5(body(name)).hexdigest()}


def served(*names: str) -> HubServer:
    return HubServer(
        {f"{repo}/{n}": body(n) for repo in ("datasets/owner/set", "owner/tools") for n in names}
    )


def outcomes(folder: Path, server: HubServer, *asked: Asked, **environment: str) -> list[dict[str, object]]:
    done = run_python("-c", SCRIPT, json.dumps(asked), folder=folder, server=server, environment=environment)
    assert done.returncode == 0, done.stderr
    found: list[dict[str, object]] = json.loads(done.stdout)
    for outcome in found:
        assert len(str(outcome.get("error", "one line")).splitlines()) == 1
    return found


def new(name: str) -> dict[str, object]:
    return {"before": False, "after": True, "bytes": len(body(name))}


def test_files_come_once_and_are_then_here_without_a_network(tmp_path: Path) -> None:
    asked = [hub("a.parquet", **verified("a.parquet")), hub("b.jsonl"), web("q.txt")]
    with served("a.parquet", "b.jsonl", "q.txt") as server:
        assert outcomes(tmp_path, server, *asked) == [new("a.parquet"), new("b.jsonl"), new("q.txt")]
        assert [server.asked(name) for name in ("a.parquet", "b.jsonl", "q.txt")] == [1, 1, 1]
        again = [{**new(name), "before": True} for name in ("a.parquet", "b.jsonl", "q.txt")]
        assert outcomes(tmp_path, server, *asked) == again
        assert [server.asked(name) for name in ("a.parquet", "b.jsonl", "q.txt")] == [1, 1, 1]
    assert outcomes(tmp_path, server, *asked, HF_HUB_OFFLINE="1") == again
    checked = list((tmp_path / "cache" / "verified").iterdir())
    assert len(checked) == 2  # the one without a checksum needs no mark


def test_a_body_that_ends_early_is_continued_or_refused(tmp_path: Path) -> None:
    with served("cut.parquet", "always.txt", "cut.txt") as server:
        server.fail("cut.parquet", "truncate", times=2)
        server.fail(".txt", "truncate", times=1)
        first, second = outcomes(
            tmp_path, server, hub("cut.parquet", **verified("cut.parquet")), web("cut.txt")
        )
        assert (first, second) == (new("cut.parquet"), new("cut.txt"))
        assert server.asked("cut.parquet") == 2 + 1
        assert server.asked("cut.txt") == 1 + 1
        server.fail(".txt", "truncate")
        (always,) = outcomes(tmp_path, server, by_blob("always.txt"))
        assert "always.txt could not be fetched (the connection ended early: " in str(always["error"])
        missing = len(body("always.txt"))
        for _ in range(server.asked("always.txt")):
            missing -= missing // 2
        assert f"{missing} bytes are missing)" in str(always["error"])
        assert [path.name for path in left(tmp_path)] == ["cut.txt"]


def test_a_server_that_does_not_know_ranges_sends_all_again(tmp_path: Path) -> None:
    with served("cut.txt") as server:
        server.ranges = False
        server.fail("cut.txt", "truncate", times=1)
        assert outcomes(tmp_path, server, by_blob("cut.txt")) == [new("cut.txt")]
        assert server.asked("cut.txt") == 1 + 1


def test_a_file_is_verified_by_its_git_blob_id(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", "."], cwd=tmp_path, check=True)
    (tmp_path / "q.txt").write_bytes(body("q.txt"))
    done = subprocess.run(
        ["git", "hash-object", "q.txt"], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == git_blob(body("q.txt"))
    asked = by_blob("q.txt")
    with served("q.txt") as server:
        assert outcomes(tmp_path, server, asked) == [new("q.txt")]
    assert outcomes(tmp_path, server, asked, HF_HUB_OFFLINE="1") == [{**new("q.txt"), "before": True}]
    (place,) = left(tmp_path)
    assert place.parent.name == git_blob(body("q.txt"))[:32]
    place.write_bytes(bytes(len(body("q.txt"))))
    (changed,) = outcomes(tmp_path, server, asked, HF_HUB_OFFLINE="1")
    assert "is not in the cache, and HF_HUB_OFFLINE is set" in str(changed["error"])


def test_another_git_blob_id_is_refused_with_both_ids(tmp_path: Path) -> None:
    with served("q.txt", "sized.txt") as server:
        server.fail(".txt", "other", times=2)
        asked = [by_blob("q.txt"), by_blob("sized.txt", len(body("sized.txt")))]
        for name, found in zip(("q.txt", "sized.txt"), outcomes(tmp_path, server, *asked), strict=True):
            expected, other = git_blob(body(name)), git_blob(bytes(len(body(name))))
            error = str(found["error"])
            assert f"{name} is not the expected file (git blob id {other} instead of {expected})" in error
        assert left(tmp_path) == []
        (wrong_size,) = outcomes(tmp_path, server, by_blob("q.txt", 7))
        assert f"({len(body('q.txt'))} bytes instead of 7)" in str(wrong_size["error"])
        assert outcomes(tmp_path, server, *asked) == [new("q.txt"), new("sized.txt")]


def test_other_content_is_removed_and_the_next_try_is_clean(tmp_path: Path) -> None:
    with served("a.parquet", "short.parquet", "q.txt") as server:
        for name in ("a.parquet", "q.txt"):
            server.fail(name, "other", times=1)
        asked = [hub("a.parquet", **verified("a.parquet")), web("q.txt")]
        one, two = outcomes(tmp_path, server, *asked)
        md5, wrong = (
            hashlib.md5(text).hexdigest() for text in (body("a.parquet"), bytes(len(body("a.parquet"))))
        )
        assert f"is not the expected file (md5 {wrong} instead of {md5}); it has been removed" in str(
            one["error"]
        )
        assert "sha256" in str(two["error"])
        assert "elsewhere and save it as" in str(two["error"])
        assert outcomes(tmp_path, server, *asked) == [new("a.parquet"), new("q.txt")]
        (size,) = outcomes(tmp_path, server, hub("short.parquet", size=7))
        assert f"({len(body('short.parquet'))} bytes instead of 7)" in str(size["error"])


def test_a_file_that_was_changed_in_the_cache_is_no_longer_taken(tmp_path: Path) -> None:
    asked = hub("a.parquet", **verified("a.parquet"))
    with served("a.parquet") as server:
        assert outcomes(tmp_path, server, asked) == [new("a.parquet")]
        (pointer,) = (tmp_path / "hf").rglob("snapshots/*/a.parquet")
        pointer.resolve().write_bytes(bytes(len(body("a.parquet"))))
        (changed,) = outcomes(tmp_path, server, asked)
        assert "it has been removed from the cache: try again" in str(changed["error"])
        assert outcomes(tmp_path, server, asked) == [new("a.parquet")]


def test_refusals_say_what_and_where(tmp_path: Path) -> None:
    with served("gated.parquet", "dead.parquet", "dead.txt") as server:
        server.fail("gated.parquet", "gated")
        for name in ("dead.parquet", "dead.txt"):
            server.fail(name, "500")
        asked = [
            hub("none.parquet"),
            hub("gated.parquet"),
            hub("dead.parquet"),
            web("none.txt"),
            web("dead.txt"),
        ]
        errors = [str(found["error"]) for found in outcomes(tmp_path, server, *asked)]
    page = f"{server.url}/datasets/owner/set"
    assert errors[0].startswith(
        f"there is no file none.parquet of 'owner/set' at revision '{COMMIT}': look at {page}"
    )
    assert f"is gated: accept its terms at {page}, then type `hf auth login`" in errors[1]
    assert "could not be fetched (Server error '500 Internal Server Error'" in errors[2]
    assert f"`hf download --repo-type dataset owner/set dead.parquet --revision {COMMIT}`" in errors[2]
    assert "none.txt could not be fetched (HTTP Error 404" in errors[3]
    assert (
        f"download {server.url}/owner/tools/{COMMIT}/dead.txt elsewhere and save it as {tmp_path}/cache"
        in errors[4]
    )


def test_no_network_and_offline(tmp_path: Path) -> None:
    with served("a.parquet") as server:
        pass
    unreached = [str(found["error"]) for found in outcomes(tmp_path, server, hub("a.parquet"), web("q.txt"))]
    assert "a.parquet of 'owner/set'" in unreached[0]
    assert "Connection refused): check the network and try again, or run `hf download" in unreached[0]
    assert "Connection refused" in unreached[1]
    asked = [hub("a.parquet"), web("q.txt")]
    offline = [str(found["error"]) for found in outcomes(tmp_path, server, *asked, HF_HUB_OFFLINE="1")]
    assert (
        f"is not in the cache {tmp_path}/hf/hub, and HF_HUB_OFFLINE is set: unset it, or run `hf"
        in offline[0]
    )
    assert offline[1].startswith(f"owner/tools/{COMMIT}/q.txt is not in the cache, and HF_HUB_OFFLINE is set")


def test_a_server_that_comes_back_on_its_port_is_enough(tmp_path: Path) -> None:
    with served("a.parquet", "b.parquet") as server:
        assert outcomes(tmp_path, server, hub("a.parquet")) == [new("a.parquet")]
        server.stop()
        server.start()
        assert outcomes(tmp_path, server, hub("b.parquet")) == [new("b.parquet")]


def test_a_file_placed_by_hand_is_taken_when_it_is_the_right_one(tmp_path: Path) -> None:
    kind, arguments = web("q.txt")
    place = tmp_path / "cache" / "files" / str(arguments["sha256"])[:32] / "q.txt"
    place.parent.mkdir(parents=True)
    with served() as server:
        place.write_bytes(body("q.txt"))
        (here,) = outcomes(tmp_path, server, (kind, arguments))
        assert here == {**new("q.txt"), "before": True}
        place.write_bytes(bytes(len(body("q.txt"))))
        (other,) = outcomes(tmp_path, server, (kind, arguments))
        assert "could not be fetched (HTTP Error 404" in str(other["error"])
