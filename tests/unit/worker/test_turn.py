"""One at a time, in the order in which they came."""

import threading
import time

from swarm.worker.compute.turn import Turn


def test_turns_go_to_whoever_has_waited_longest_even_beside_one_who_never_stops() -> None:
    turn, order, inside = Turn(), list[int](), 0

    def take(number: int) -> None:
        nonlocal inside
        with turn:
            inside += 1
            assert inside == 1
            order.append(number)
            inside -= 1

    threads = [threading.Thread(target=take, args=(number,)) for number in range(4)]
    with turn:
        for at, thread in enumerate(threads):
            thread.start()
            while len(turn._waiting) <= at:
                time.sleep(0.001)
    take(4)
    for thread in threads:
        thread.join(10)
    assert order == [0, 1, 2, 3, 4]
    take(5)


def test_a_turn_ends_with_an_error() -> None:
    turn = Turn()
    for _ in range(2):
        try:
            with turn:
                raise ValueError
        except ValueError:
            pass
