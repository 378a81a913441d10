"""Who this node is: an Ed25519 key in the data folder, and the id that follows from it."""

from __future__ import annotations

import base64
import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from swarm.domain.errors import ConfigError
from swarm.domain.ids import NodeId
from swarm.host.files import set_aside, write_atomically
from swarm.host.folders import CHOOSE_ANOTHER

logger = logging.getLogger(__name__)

ID_BYTES = 10
"""80 bits of the hash: 16 letters that fit a table, and too many to find a second key for on purpose."""


@dataclass(frozen=True, slots=True)
class Identity:
    node: NodeId
    key: Ed25519PrivateKey


def node_id(key: Ed25519PublicKey) -> NodeId:
    """Lower-case base32 of the first bytes of SHA-256 over the key's SubjectPublicKeyInfo (RFC 8410), 16 characters."""
    info = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return NodeId(base64.b32encode(hashlib.sha256(info).digest()[:ID_BYTES]).decode().lower())


def load_identity(path: Path) -> Identity:
    """The key kept at `path`; a new one where there is none, or where it is damaged.

    Raises `ConfigError` where it may not be read, or a new one cannot be written: a new id in silence helps nobody.
    """
    try:
        key = _read_key(path) or _make_key(path)
    except OSError as error:
        raise ConfigError(f"the node's key {path} cannot be used: {error.strerror}; {CHOOSE_ANOTHER}") from None
    return Identity(node_id(key.public_key()), key)


def _read_key(path: Path) -> Ed25519PrivateKey | None:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        key = serialization.load_pem_private_key(data, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        set_aside(path, type(error).__name__)
        return None
    if not isinstance(key, Ed25519PrivateKey):
        set_aside(path, "not an Ed25519 key")
        return None
    _close_to_others(path)
    return key


def _close_to_others(path: Path) -> None:
    if path.stat().st_mode & 0o077:
        path.chmod(0o600)
        logger.warning("the node's key was readable by others and is no longer", extra={"fields": {"path": str(path)}})


def _make_key(path: Path) -> Ed25519PrivateKey:
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    write_atomically(path, pem)
    return key
