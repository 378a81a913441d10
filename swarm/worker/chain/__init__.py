"""The bridge to Petals: blocks served to others and used from others, over hivemind's DHT and libp2p.

Used of Petals: the record of a served block and how it is announced (petals.utils.dht, petals.data_structures), and
the server's side of a session (petals.server.handler), whose messages `messages` reads and writes. Replaced: loading,
blocks, caches, task pools and processes of the server; sessions, routing and failover of the client, which in Petals
2.2 never recover (petals #587). `docs/bridge.md` has every call and the reason for it.

Everything of hivemind runs on one asyncio loop in one thread (`loop`): no process is forked, so that no thread of
torch is lost in a fork and a killed worker leaves nothing behind but libp2p's own daemon.
"""
