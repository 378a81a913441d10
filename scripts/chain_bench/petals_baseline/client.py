"""Petals' own client loop over servers that are there: `RemoteSequential` with its sequence manager and its session.

    cd scripts; python -m chain_bench.petals_baseline.client --model FOLDER --prefix DHT_PREFIX --peer MULTIADDRESS …

Embedding, last norm and head are the family's own, as everywhere. Each line of its input, `{"prompt": …, "tokens": …}`,
is answered by one line, `{"text": …, "seconds": …}`: greedy decoding, from opening the session to the last token.
Settings are Petals' defaults, except that a failure ends the run instead of being tried again for ever.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[3]))

import torch

from swarm.worker import compat
from swarm.worker.families.checkpoint import open_checkpoint
from swarm.worker.families.model import LoadedModel, load_model


class PetalsLoop:
    """Greedy decoding through Petals' client."""

    def __init__(self, model: LoadedModel, prefix: str, peers: list[str]) -> None:
        from petals.client import ClientConfig, RemoteSequential

        @dataclass
        class Config(ClientConfig):  # type: ignore[misc]
            num_hidden_layers: int = model.checkpoint.info.layers

        config = Config(initial_peers=peers, dht_prefix=prefix, show_route=False, max_retries=2)
        self._model, self._remote = model, RemoteSequential(config)

    def close(self) -> None:
        """Ends the forked process of the DHT, which would outlive this one."""
        self._remote.sequence_manager.dht.shutdown()

    @torch.inference_mode()
    def answer(self, prompt: str, tokens: int) -> dict[str, Any]:
        ids = list(self._model.tokenizer(prompt, add_special_tokens=False).input_ids)
        made: list[int] = []
        started = time.perf_counter()
        with self._remote.inference_session(max_length=len(ids) + tokens) as session:
            causal = self._model.with_remote_layers(session.step)
            position, fed = 0, ids
            for _ in range(tokens):
                positions = torch.arange(position, position + len(fed)).unsqueeze(0)
                logits = causal(torch.tensor([fed]), position_ids=positions, use_cache=False, logits_to_keep=1).logits
                position, fed = position + len(fed), [int(logits[0, -1].argmax())]
                made += fed
            seconds = time.perf_counter() - started
        return {"text": self._model.tokenizer.decode(made, skip_special_tokens=True), "seconds": seconds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--prefix", required=True)
    parser.add_argument("--peer", action="append", required=True)
    parser.add_argument("--threads", type=int, default=0, help="of torch; 0: as torch chooses")
    arguments = parser.parse_args()
    compat.prepare()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    model = load_model(open_checkpoint(arguments.model, "bench"), None, "cpu", torch.float32)
    loop = PetalsLoop(model, arguments.prefix, arguments.peer)
    print(json.dumps({"ready": True}), flush=True)
    try:
        for line in sys.stdin:
            print(json.dumps(loop.answer(**json.loads(line))), flush=True)
    finally:
        loop.close()
    os._exit(0)  # Petals' threads would hold the process


if __name__ == "__main__":
    main()
