"""The worker is told of other nodes what it does not know yet."""

from swarm.engine.other_nodes import OtherNodes
from swarm.wire.worker_commands import Avoid, Forget, Introduce, Suspect


def test_only_what_is_new_is_told() -> None:
    others = OtherNodes()
    assert others.introduce(["a", "b"]) == Introduce(("a", "b"))
    assert others.introduce(["b", "c"]) == Introduce(("c",))
    assert others.introduce(["a"]) is None
    assert others.forget(["a"]) == Forget(("a",))
    assert others.introduce(["a"]) == Introduce(("a",))
    assert others.avoid([]) is None
    assert others.avoid(["x"]) == Avoid(("x",))
    assert others.avoid(["x"]) is None
    assert others.avoid([]) == Avoid(())
    assert (others.introduce([]), others.forget([]), others.suspect([])) == (None, None, None)


def test_a_suspect_is_introduced_again() -> None:
    others = OtherNodes()
    others.introduce(["a"])
    assert others.suspect(["a"]) == Suspect(("a",))
    assert others.introduce(["a"]) == Introduce(("a",))
    assert others.introduce(["a"]) is None


def test_a_new_worker_learns_of_all_who_are_there() -> None:
    others = OtherNodes()
    assert others.greeting == ()
    others.introduce(["a", "b", "c"])
    others.forget(["b"])
    others.avoid(["x"])
    assert others.greeting == (Introduce(("a", "c")), Avoid(("x",)))
