"""What can go wrong between two machines."""

from __future__ import annotations

from packetfs.errors.base import PacketFSError


class BadMessage(PacketFSError, ValueError):
    """The other side sent something that cannot be right: {reason}"""

    exit_code = 20
    hint = "Both sides must run PacketFS, and nothing else may write to the connection (a login script that prints?)."


class VersionMismatch(PacketFSError):
    """The far side speaks protocol {theirs}, this side {ours}."""

    exit_code = 14
    hint = "Install the same version of PacketFS on both sides."


class Disconnected(PacketFSError, ConnectionError):
    """The connection to {peer} ended in the middle of a sync: {reason}"""

    exit_code = 20
    hint = "Nothing is damaged: run the same command again, it goes on where it stopped."


class Stalled(PacketFSError, TimeoutError):
    """{peer} has shown no life for {seconds} seconds."""

    exit_code = 20
    hint = "Nothing is damaged: see whether it still runs and can be reached, then run the same command again."


class Unreachable(PacketFSError, ConnectionError):
    """{peer} cannot be reached: {reason}"""

    exit_code = 20
    hint = "Try the same command that PacketFS runs: ssh HOST pfs --version."


class NoDaemon(Unreachable):
    """{peer} cannot be reached: {reason}"""

    hint = "`pfs serve --listen [HOST]:PORT` (or unix:PATH) has to run there, and firewalls have to let it through."


class OtherSideFailed(PacketFSError):
    """{reason}"""


class Overlap(PacketFSError, ValueError):
    """{source} and {destination} overlap: a sync would copy its own copy, or delete its own source."""

    exit_code = 2
    hint = "Choose a destination that is neither inside the source nor around it."


class SamePool(PacketFSError, ValueError):
    """{path} is the pool of both sides, and a sync has a writer on each."""

    exit_code = 2
    hint = "`cp -a` on a mount (`pfs mount`), or Pool.copy in Python, copies within a pool, and moves no content."


class IntoPool(PacketFSError, ValueError):
    """{path} is a pool's own directory: what is put among its files is not in the pool, and --delete would end it."""

    exit_code = 2
    hint = "Write pfs:PATH for a path in the pool; --pool DIR or $PACKETFS_POOL says which pool that is."


class BaseMoved(PacketFSError):
    """What is at the destination is no longer what this connection left there."""

    exit_code = 20
    hint = "Somebody else changed it; connect again, which compares."


class OtherMean(PacketFSError):
    """{destination} cuts files into chunks of {theirs} bytes on average, the others into {ours}."""

    exit_code = 2
    hint = "A directory is watched for destinations that cut alike; start one more pfs sync --watch for this one."


class HistoryFull(PacketFSError):
    """No space left in {path}, where syncs remember what they brought."""

    exit_code = 12
    hint = "Free some space there, or let $XDG_DATA_HOME name a directory on another disk."


class InTheWay(PacketFSError, FileExistsError):
    """{path} is a directory that is not empty, and the source has something else of that name."""

    exit_code = 3
    hint = "Empty it, or run with --delete."


class NothingThere(PacketFSError, FileNotFoundError):
    """{path}: no such file or directory."""

    exit_code = 4
    hint = "A path inside a pool is written pfs:PATH."


class FarSideFailed(PacketFSError):
    """{peer}: {reason}"""

    exit_code = 20
    hint = "The message comes from the far side."


class Abandoned(PacketFSError):
    """{path}: the sender took it back, as it changed while it was read"""

    exit_code = 3
    hint = "Run the same command again."


class Vanished(PacketFSError):
    """{path} changed or vanished while it was being sent."""

    exit_code = 3
    hint = "Run the same command again when nothing writes to it."


class Unverified(PacketFSError):
    """What was built at {path} is not what the sender announced; it was not committed."""

    exit_code = 13
    hint = "Run the same command again; if it happens twice, run it with --checksum."


class TooLong(PacketFSError, ValueError):
    """{path} would have runs of {size} bytes; at most {limit} are taken."""

    exit_code = 13


class BadToken(PacketFSError, ValueError):
    """This is not a token that `pfs keys` minted: {reason}"""

    exit_code = 2
    hint = "Copy the whole line, from pfs1- to its end."


class BadKeys(PacketFSError, ValueError):
    """{path} does not hold keys."""

    exit_code = 13
    hint = "Move it away, and mint the keys anew."


class NoKey(PacketFSError, LookupError):
    """There is no key for {peer} here."""

    exit_code = 15
    hint = "Mint one there with `pfs keys add NAME --read PATH`, and give the token to `pfs keys trust HOST` here."


class NoKeys(PacketFSError):
    """There are no keys in {path}, and without any nobody could be let in."""

    exit_code = 15
    hint = "Mint one first: `pfs keys add NAME --write PATH`."


class KeyExists(PacketFSError, ValueError):
    """There is a key named {name} already."""

    exit_code = 5
    hint = "Choose another name, or revoke that one first."


class NoSuchKey(PacketFSError, LookupError):
    """There is no key named {name}."""

    exit_code = 4
    hint = "`pfs keys list` shows them."


class KeyNotShown(PacketFSError, ConnectionError):
    """It showed no key before it went, as those do who expect another certificate."""

    exit_code = 15
    hint = (
        "A client's token names one certificate; `pfs keys fingerprint` shows the server's, `pfs keys servers` theirs."
    )


class UnknownKey(PacketFSError, PermissionError):
    """The server does not know this key."""

    exit_code = 15
    hint = "Mint a key there with `pfs keys add`, and give its token to `pfs keys trust HOST`."


class RevokedKey(PacketFSError, PermissionError):
    """The key {name} was revoked."""

    exit_code = 15
    hint = "Whoever runs the server can mint another with `pfs keys add`."


class NoSuchServer(PacketFSError, LookupError):
    """No token for {peer} is kept here."""

    exit_code = 4
    hint = "`pfs keys servers` lists the servers that there are tokens for."


class GrantMissing(PacketFSError, FileNotFoundError):
    """There is no directory {path}, which the key is for."""

    exit_code = 4
    hint = "Make it on the server (mkdir -p), or mint a key for one that is there."


class WrongServer(PacketFSError, PermissionError):
    """{peer} is not the server that the key is for: its certificate has the fingerprint {fingerprint}."""

    exit_code = 15
    hint = "Nothing was sent. If the server has a new certificate, get a new token; else somebody is in between."


class CertificateExpired(PacketFSError, PermissionError):
    """The certificate of {whose} was good until {until}."""

    exit_code = 15
    hint = "`pfs keys renew` makes a new one where it belongs; tokens for the old one are void then."


class CertificateRefused(PacketFSError, PermissionError):
    """{peer} refused this side's certificate: {reason}"""

    exit_code = 15
    hint = "Give it to the server again with `pfs keys add NAME --certificate FILE`."


class NotGranted(PacketFSError, PermissionError):
    """{name} may not {action} {path} here."""

    exit_code = 15
    hint = "On the server, `pfs keys list` shows what each key may do, and --only what a forced command lets in."


class OverQuota(PacketFSError):
    """{name} may {what} at most {limit} bytes here, names included."""

    exit_code = 12
    hint = "Delete something there, sync less, or let whoever runs the server raise the quota."


class NotListening(PacketFSError):
    """{address} cannot be listened on: {reason}"""

    hint = "See with `ss -ltnp` what else listens there, or choose another port."


class ServerFull(PacketFSError, ConnectionError):
    """The server has as many sessions as it takes: {limit}{of}."""

    exit_code = 20
    hint = "Run the same command again later."


class ServerStopping(PacketFSError, ConnectionError):
    """The server is stopping."""

    exit_code = 20
    hint = "Nothing is damaged: run the same command again when it is back, it goes on where it stopped."
