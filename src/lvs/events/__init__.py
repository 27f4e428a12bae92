"""What is worth telling: one frozen value per journal MESSAGE_ID.

Fields become journal fields in upper case (`real_server` is REAL_SERVER); `text()` is the
message. The catalog in appliance/usr/lib/systemd/catalog/lvs.catalog explains each event to whoever reads
`journalctl -x -u lvs`; a test holds both together. Logic returns events and never logs.
"""

from lvs.events.base import *  # noqa: F403
from lvs.events.base import Event
from lvs.events.firstboot import *  # noqa: F403
from lvs.events.health import *  # noqa: F403
from lvs.events.pair import *  # noqa: F403
from lvs.events.peer import *  # noqa: F403
from lvs.events.pulse import *  # noqa: F403
from lvs.events.repository import *  # noqa: F403
from lvs.events.table import *  # noqa: F403
from lvs.events.update import *  # noqa: F403

ALL: tuple[type[Event], ...] = tuple(Event.__subclasses__())
