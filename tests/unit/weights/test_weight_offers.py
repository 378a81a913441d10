"""What strangers offer is believed where it could be true and is harmless; most nodes decide what a name means."""

from dataclasses import replace

import pytest

from swarm.domain.errors import PeerError
from swarm.domain.ids import NodeId
from swarm.domain.weights import OfferedFile, WeightsOffer
from swarm.weights.offers import check_offer, choose_model_of_swarm, choose_offer, content_digest


def offered(name: str, size: int = 10, digest: str = "a" * 64) -> OfferedFile:
    return OfferedFile(name, size, digest)


OFFER = WeightsOffer("org/name", "digest1", "0" * 40, (offered("config.json"), offered("model.safetensors", 99)))


def test_an_honest_offer_passes() -> None:
    files = ("tokenizer.json", "tokenizer.model", "chat_template.jinja", "model-00002-of-00003.safetensors")
    honest = replace(OFFER, files=(*OFFER.files, *map(offered, files)))
    assert check_offer(honest, "org/name") is honest


@pytest.mark.parametrize(
    "name",
    [
        *("../config.json", "/etc/passwd.json", "a/b.json", "..json", ".hidden.json", "x\n.json", ""),
        *("model.pkl", "pytorch_model.bin", "modeling_x.py", "a.json.py", "model.safetensors.exe", "a" * 300 + ".json"),
    ],
)
def test_a_name_that_is_no_plain_data_file_is_refused(name: str) -> None:
    with pytest.raises(PeerError):
        check_offer(replace(OFFER, files=(*OFFER.files, offered(name))), "org/name")


@pytest.mark.parametrize(
    "changed",
    [
        replace(OFFER, model_id="org/other"),
        replace(OFFER, revision="main"),
        replace(OFFER, revision="../" * 13 + "a"),
        replace(OFFER, model_digest=""),
        replace(OFFER, files=OFFER.files[:1]),
        replace(OFFER, files=OFFER.files[1:]),
        replace(OFFER, files=(*OFFER.files, OFFER.files[0])),
        replace(OFFER, files=(*OFFER.files, offered("huge.json", 2**40))),
        replace(OFFER, files=(*OFFER.files, offered("huge.safetensors", 2**60))),
        replace(OFFER, files=(*OFFER.files, offered("none.safetensors", 0))),
        replace(OFFER, files=(*OFFER.files, offered("a.json", 1, "A" * 64))),
    ],
)
def test_an_offer_that_could_not_be_true_is_refused(changed: WeightsOffer) -> None:
    with pytest.raises(PeerError):
        check_offer(changed, "org/name")


@pytest.mark.parametrize("name", ["../x", "a/b/c", "a--b", "..", "a/../b", "", "a b"])
def test_a_model_name_that_would_be_another_folder_is_refused(name: str) -> None:
    with pytest.raises(PeerError):
        check_offer(replace(OFFER, model_id=name), name)
    assert choose_model_of_swarm([name]) is None


def test_the_order_of_the_files_does_not_matter() -> None:
    assert content_digest(OFFER) == content_digest(replace(OFFER, files=OFFER.files[::-1]))
    assert content_digest(OFFER) != content_digest(replace(OFFER, model_digest="digest2"))


def test_the_weights_that_most_nodes_serve_are_taken_and_the_others_named() -> None:
    other = replace(OFFER, model_digest="digest0")
    offers = {NodeId("a"): other, NodeId("b"): OFFER, NodeId("c"): other}
    choice = choose_offer(offers, ["digest1", "digest1", "digest0"])
    assert (choice.offer, choice.others) == (OFFER, ("a", "c"))
    assert choose_offer(offers, []).offer == other


def test_of_the_same_weights_the_files_that_most_nodes_have_are_taken() -> None:
    more = replace(OFFER, files=(*OFFER.files, offered("notes.json")))
    offers = {NodeId("a"): OFFER, NodeId("b"): more, NodeId("c"): more}
    assert choose_offer(offers, []).offer == more


def test_a_newcomer_joins_what_most_nodes_serve() -> None:
    assert choose_model_of_swarm(["b", "a", "b"]) == "b"
    assert choose_model_of_swarm(["b", "a"]) == "a"
    assert choose_model_of_swarm([]) is None
