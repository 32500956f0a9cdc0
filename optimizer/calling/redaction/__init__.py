"""Personal data and secrets leave as placeholders, and come back as what they were: `Redactor`."""

from optimizer.calling.redaction.redactor import Redactor
from optimizer.calling.redaction.restoration import Restoration
from optimizer.calling.redaction.streams import StreamRestorer

__all__ = ["Redactor", "Restoration", "StreamRestorer"]
