// The urgent byte, read beside the stream (recv(2), MSG_OOB): the last one marked, as long as the stream has not been read past it, and once.
using Peregrine.Core.Tcp;

namespace Peregrine.Posix;

internal static class PosixUrgent
{
    /// <summary>Whether the byte at the mark has been read. The mark only comes nearer; one farther away is another.</summary>
    internal static bool IsTaken(PosixSocket s, in TcpStatus status) => s.UrgentTaken != 0 && status.UrgentBytes <= s.UrgentTaken;

    internal static PosixResult Read(PosixSockets x, long fd, long length, bool peek)
    {
        if (x.Get(fd) is not { } s) return PosixResult.Fail("EBADF");
        if (s.Kind != PosixKind.Tcp) return PosixResult.Fail("EOPNOTSUPP");
        if (!s.Connection.IsValid) return PosixResult.Fail(x.Manners.IsFreeBsd ? "ENOTCONN" : "EINVAL");
        var status = x.Stack.Tcp.GetStatus(s.Connection);
        if (status.UrgentBytes == 0 || IsTaken(s, status) || s.Kept.GetValueOrDefault("SO_OOBINLINE") != 0) return PosixResult.Fail("EINVAL");
        // The pointer has come, and the byte has not.
        if (status.ReadableBytes < status.UrgentBytes) return PosixResult.Fail(x.Manners.IsFreeBsd ? "EWOULDBLOCK" : "EAGAIN");
        if (!peek) s.UrgentTaken = status.UrgentBytes;
        return new PosixResult(Math.Min(length, 1));
    }
}
