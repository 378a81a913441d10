"""What multicast brings, name by name. Unlike zeroconf's browser it also tells of what is announced again."""

from __future__ import annotations

from collections.abc import Callable

from zeroconf import RecordUpdate, RecordUpdateListener, Zeroconf
from zeroconf._dns import DNSPointer

from swarm.discovery.service_record import SERVICE_TYPE


class Ear(RecordUpdateListener):
    """Calls back once a packet for each instance of our service: `heard` for any record of it, `lost` for its goodbye.

    A record that was cached before is heard again, because a peer that we gave up may have been there all the time.
    """

    def __init__(self, heard: Callable[[str], None], lost: Callable[[str], None]) -> None:
        self._heard, self._lost = heard, lost
        self._pending: dict[str, bool] = {}
        """Instance names of this packet; False for a goodbye."""

    def async_update_records(self, _zeroconf: Zeroconf, now: float, records: list[RecordUpdate]) -> None:
        for update in records:
            record = update.new
            if isinstance(record, DNSPointer):
                if record.name.lower() == SERVICE_TYPE:
                    self._pending[record.alias] = not record.is_expired(now)
            elif record.name.lower().endswith(f".{SERVICE_TYPE}") and not record.is_expired(now):
                self._pending.setdefault(record.name, True)

    def async_update_records_complete(self) -> None:
        """zeroconf's cache holds the new records by now."""
        pending, self._pending = self._pending, {}
        for name, is_there in pending.items():
            (self._heard if is_there else self._lost)(name)
