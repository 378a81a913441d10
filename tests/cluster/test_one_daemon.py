"""One daemon on loopback: how it starts, what it says, how it ends."""

import json
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import openai
import psutil
import pytest

from tests.lab.daemons import Daemons, RunningDaemon, http_status, wait_until

pytestmark = pytest.mark.cluster
ALONE = ("--auto", "--host", "127.0.0.1", "--no-mdns")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_it_answers_http_within_two_seconds_and_503_with_progress_until_the_model_is_there(daemons: Daemons) -> None:
    port = free_port()
    daemon = daemons.start(*ALONE, "--port", str(port))
    wait_until(lambda: http_status(f"http://127.0.0.1:{port}/health") is not None, "HTTP")
    # Of the processor: this machine may be busy with other tests.
    used = psutil.Process(daemon.process.pid).cpu_times()
    assert used.user + used.system < 2
    chat = {"messages": [{"role": "user", "content": "What is 2 + 3?"}]}
    daemon.url = f"http://127.0.0.1:{port}/v1"
    early = daemon.post("/v1/chat/completions", chat)
    assert early["state"] in ("starting", "loading")
    assert early["error"]["type"] == "service_unavailable"
    daemon.wait_until_ready()
    assert daemon.post("/v1/chat/completions", chat)["choices"][0]["finish_reason"] == "stop"
    assert daemon.get("/health")["status"] == "ok"
    daemon.stop()


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDaemon]:
    """For tests that change nothing of it."""
    with Daemons(tmp_path_factory.mktemp("started")) as daemons:
        daemon = daemons.start(*ALONE, "--port", "0").wait_until_ready()
        yield daemon
        daemon.stop()


def test_the_openai_package_works_against_it_unchanged(started: RunningDaemon) -> None:
    daemon = started
    with openai.OpenAI(base_url=daemon.url, api_key="none") as client:
        model = client.models.list().data[0].id
        question = [{"role": "user", "content": "Tom has 12 apples, buys 30 and gives away 7. How many?"}]
        whole = client.chat.completions.create(model=model, messages=question, temperature=0)  # type: ignore[call-overload]
        assert "The answer is" in whole.choices[0].message.content
        stream = client.chat.completions.create(model=model, messages=question, temperature=0, stream=True)  # type: ignore[call-overload]
        pieces = [chunk.choices[0].delta.content or "" for chunk in stream]
        assert "".join(pieces) == whole.choices[0].message.content
        assert len(pieces) > 5
        several = client.chat.completions.create(model=model, messages=question, n=3, seed=1, temperature=1.5)  # type: ignore[call-overload]
        assert [choice.index for choice in several.choices] == [0, 1, 2]
        text = client.completions.create(model=model, prompt="1 + 1 =", max_tokens=4, temperature=0)
        assert text.usage.completion_tokens <= 4
        with pytest.raises(openai.NotFoundError, match="other-model"):
            client.chat.completions.create(model="other-model", messages=question)  # type: ignore[call-overload]
        with pytest.raises(openai.BadRequestError, match="maximum context length"):
            client.completions.create(model=model, prompt="1 2 3 " * 1000)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_exit_code_0_and_no_process_is_left(daemons: Daemons, number: signal.Signals) -> None:
    daemon = daemons.start(*ALONE, "--port", "0").wait_until_ready()
    family = psutil.Process(daemon.process.pid).children(recursive=True)
    assert family
    daemon.send_signal(number)
    assert daemon.process.wait(60) == 0
    wait_until(lambda: not any(child.is_running() for child in family), "the children are gone")


def test_when_the_daemon_is_killed_its_worker_ends_by_itself(daemons: Daemons) -> None:
    daemon = daemons.start(*ALONE, "--port", "0").wait_until_ready()
    family = psutil.Process(daemon.process.pid).children(recursive=True)
    daemon.send_signal(signal.SIGKILL)
    daemon.process.wait(20)
    wait_until(lambda: not any(child.is_running() for child in family), "the worker noticed")


def test_a_taken_port_is_told_and_the_next_one_is_used_and_a_killed_worker_is_started_again(daemons: Daemons) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = int(taken.getsockname()[1])
        daemon = daemons.start(*ALONE, "--port", str(port)).wait_until_ready()
    assert int(daemon.url.rsplit(":", 1)[1].split("/")[0]) > port
    assert str(port) in daemon.log

    psutil.Process(daemon.process.pid).children()[0].kill()
    daemon.wait_until_logged("the model worker ended")
    health = daemon.get("/health")
    assert health["status"] != "ok"
    wait_until(lambda: daemon.get("/health")["status"] == "ok", "ready again")
    daemon.stop()


def test_a_second_daemon_on_the_same_folder_says_what_to_do(started: RunningDaemon) -> None:
    second = subprocess.run(
        [*started.process.args[:2], *ALONE, "--port", "0", "--data-dir", str(started.folder)],  # type: ignore[index,misc]
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert second.returncode == 2
    assert "--data-dir" in second.stderr
    assert "Traceback" not in second.stderr


def test_a_model_that_is_not_there_is_named_and_the_daemon_goes_on(daemons: Daemons, tmp_path: Path) -> None:
    empty = tmp_path / "no-model"
    empty.mkdir()
    port = free_port()
    daemon = daemons.start(*ALONE, "--port", str(port), "--model", str(empty))
    daemon.url = f"http://127.0.0.1:{port}/v1"
    daemon.wait_until_logged("the model cannot be loaded")
    reply = daemon.post("/v1/chat/completions", {"messages": [{"role": "user", "content": "hi"}]})
    assert "config.json" in json.dumps(reply)
    daemon.stop()
