"""The bridge to Petals: blocks served to others and used from others, over hivemind's DHT and libp2p.

Used of Petals as it is: the record of a served block and how it is announced and found (petals.utils.dht,
petals.data_structures), the session protocol of a server (petals.server.handler, petals.server.block_functions), and
the packing of a step's tensors (petals.utils.packaging). Replaced: loading, blocks, caches, task pools and processes of
the server; sessions, routing and failover of the client, which in Petals 2.2 never recover (petals #587).

Everything of hivemind runs on one asyncio loop in one thread (`loop`): no process is forked, so that no thread of
torch is lost in a fork and a killed worker leaves nothing behind but libp2p's own daemon.
"""
