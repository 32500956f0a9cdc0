"""The Router: makes the call that the engine chooses, through the gateways, and survives them."""

from optimizer.router.reply import Chunk, Reply, ReplyStream
from optimizer.router.router import Router
from optimizer.router.sync import SyncRouter, SyncStream

__all__ = ["Chunk", "Reply", "ReplyStream", "Router", "SyncRouter", "SyncStream"]
